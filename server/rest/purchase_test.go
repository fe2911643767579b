package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReceipts(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   int
		fails  bool
	}{
		"valid":     {`{"status":0}`, 0, false},
		"refused":   {`{"status":21003}`, 21003, false},
		"no status": {`{}`, 0, true},
		"no JSON":   {`<html>`, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				_, _ = fmt.Fprint(w, tt.answer)
			}))
			defer srv.Close()
			a := &AppleReceipts{Client: srv.Client()}
			status, err := a.ask(t.Context(), srv.URL, "cmVjZWlwdA==")
			if status != tt.want || (err != nil) != tt.fails || got["receipt-data"] != "cmVjZWlwdA==" {
				t.Error(status, err, got)
			}
		})
	}
}
