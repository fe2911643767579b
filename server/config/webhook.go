package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Webhooks is the option webhookOptions.
type Webhooks struct {
	Timeout              time.Duration
	SigningSecret        string
	BlockPrivateNetworks bool
}

// Webhooks reads webhookOptions.
func (c *Config) Webhooks() (Webhooks, error) {
	var raw struct {
		Timeout              int    `json:"timeout"`
		SigningSecret        string `json:"signingSecret"`
		BlockPrivateNetworks bool   `json:"blockPrivateNetworks"`
	}
	if len(c.WebhookOptions) == 0 {
		return Webhooks{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(c.WebhookOptions))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return Webhooks{}, fmt.Errorf("webhookOptions: %w", err)
	}
	if raw.Timeout < 0 {
		return Webhooks{}, fmt.Errorf("webhookOptions.timeout must not be negative")
	}
	return Webhooks{time.Duration(raw.Timeout) * time.Millisecond, raw.SigningSecret, raw.BlockPrivateNetworks}, nil
}
