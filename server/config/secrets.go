package config

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secrets is the content of the file of generated credentials.
type secrets struct {
	AppID     string `json:"appId"`
	MasterKey string `json:"masterKey"`
}

// SecretsFile is where generated credentials are kept, mode 0600.
func (c *Config) SecretsFile() string { return filepath.Join(c.DataDir, "secrets.json") }

// FillSecrets completes appId and masterKey from the secrets file, which it
// makes if it is not there. It reports whether any value came from the file.
func (c *Config) FillSecrets() (bool, error) {
	if c.AppID != "" && c.MasterKey != "" {
		return false, nil
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return false, fmt.Errorf("make data directory: %w", err)
	}
	var s secrets
	data, err := os.ReadFile(c.SecretsFile())
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &s); err != nil {
			return false, fmt.Errorf("read %s: %w", c.SecretsFile(), err)
		}
	case errors.Is(err, fs.ErrNotExist):
		key := make([]byte, 24)
		if _, err := rand.Read(key); err != nil {
			return false, fmt.Errorf("make a key: %w", err)
		}
		s = secrets{AppID: "pargo", MasterKey: hex.EncodeToString(key)}
		if data, err = json.MarshalIndent(s, "", "  "); err != nil {
			return false, err
		}
		// Write aside and rename, so that a crash leaves no half-written keys.
		tmp := c.SecretsFile() + ".new"
		if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
			return false, fmt.Errorf("write secrets: %w", err)
		}
		if err := os.Rename(tmp, c.SecretsFile()); err != nil {
			return false, fmt.Errorf("write secrets: %w", err)
		}
	default:
		return false, fmt.Errorf("read secrets: %w", err)
	}
	if c.AppID == "" {
		c.AppID = s.AppID
	}
	if c.MasterKey == "" {
		c.MasterKey = s.MasterKey
	}
	return true, nil
}
