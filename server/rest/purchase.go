package rest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// AppleReceipts are the addresses at which Apple judges receipts.
type AppleReceipts struct {
	Production, Sandbox string
	Client              *http.Client
}

// appleTexts are what Apple's documents say of a status.
var appleTexts = map[int]string{
	21000: "The App Store could not read the JSON object you provided.",
	21002: "The data in the receipt-data property was malformed or missing.",
	21003: "The receipt could not be authenticated.",
	21004: "The shared secret you provided does not match the shared secret on file for your account.",
	21005: "The receipt server is not currently available.",
	21006: "This receipt is valid but the subscription has expired.",
	21007: "This receipt is from the test environment, but it was sent to the production environment for verification. Send it to the test environment instead.",
	21008: "This receipt is from the production environment, but it was sent to the test environment for verification. Send it to the production environment instead.",
}

const statusSandbox = 21007

// validatePurchase is POST /validate_purchase (reference 06 §14).
func validatePurchase(ctx context.Context, c *call) (reply, error) {
	receipt := ""
	switch v, _ := c.body.Get("receipt"); v := v.(type) {
	case string:
		receipt = v
	case parse.Bytes:
		receipt = base64.StdEncoding.EncodeToString(v)
	}
	product := c.body.String("productIdentifier")
	if receipt == "" || product == "" {
		return reply{}, parse.Errorf(parse.InvalidJSON, "missing receipt or productIdentifier")
	}
	apple := c.h.o.Apple
	status, err := apple.ask(ctx, apple.Production, receipt)
	if err == nil && status == statusSandbox {
		status, err = apple.ask(ctx, apple.Sandbox, receipt)
	}
	if err != nil {
		return reply{}, &parse.Error{Code: parse.ConnectionFailed, Message: "The receipt could not be judged: Apple's server cannot be reached.", Err: err}
	}
	if status != 0 {
		text, ok := appleTexts[status]
		if !ok {
			text = "unknown error."
		}
		return c.json(parse.NewMap(parse.MapField{Key: "status", Value: float64(status)}, parse.MapField{Key: "error", Value: text})), nil
	}
	found, err := c.objs.Find(ctx, access.MasterKey(), "_Product", &query.Query{Where: query.Equal("productIdentifier", product), Limit: 2})
	if err != nil {
		return reply{}, err
	}
	if len(found.Objects) != 1 {
		return reply{}, parse.ErrNotFound()
	}
	download, _ := found.Objects[0].Get("download")
	c.bufs.out = parse.AppendJSON(c.bufs.out[:0], download)
	return reply{json: c.bufs.out}, nil
}

// maxReceiptAnswer bounds what is read of Apple's answer.
const maxReceiptAnswer = 4 << 20

// ask returns Apple's status of a receipt; 0 is valid.
func (a *AppleReceipts) ask(ctx context.Context, url, receipt string) (int, error) {
	body, err := json.Marshal(map[string]string{"receipt-data": receipt})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.Client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask about a receipt: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	var answer struct {
		Status *int `json:"status"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxReceiptAnswer)).Decode(&answer); err != nil {
		return 0, fmt.Errorf("read the answer about a receipt: %w", err)
	}
	if answer.Status == nil {
		return 0, fmt.Errorf("the answer about a receipt has no status (HTTP %d)", res.StatusCode)
	}
	return *answer.Status, nil
}
