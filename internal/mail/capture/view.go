package capture

import (
	_ "embed" // of view.html
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/internal/mustache"
)

// Path is where the mails are shown.
const Path = "/dev/mail"

//go:embed view.html
var viewFile string

// view is no html/template: whoever calls that keeps the linker from leaving
// out methods that nobody calls, which made the binary half as big again.
var view = mustache.Must(mustache.Parse(viewFile))

// shown is a mail as the view has it.
func shown(m *Mail) map[string]any {
	at := m.At.UTC()
	return map[string]any{
		"id": m.ID, "to": m.To, "subject": m.Subject, "text": m.Text, "html": m.HTML != "",
		"iso": at.Format(time.RFC3339), "at": at.Format(time.DateTime),
	}
}

// security keeps a mail from loading or running anything, and its frame from
// reaching the page.
const security = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// Handler shows the mails: a page at Path, the same as JSON at Path.json and
// with Accept: application/json, a mail at Path/ID, its HTML at Path/ID.html;
// POST to Path/clear, and DELETE of Path, remove them. It answers to nobody but
// this machine: neither to a peer elsewhere, nor, by a name that somebody has
// pointed at this machine, to a page of another site.
func (a *Adapter) Handler(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !here(r.RemoteAddr) || !here(r.Host) || !sameOrigin(r) {
			http.Error(w, "mails are shown to this machine alone", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", security)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if err := a.serve(w, r); err != nil {
			log.ErrorContext(r.Context(), "captured mails", "error", err)
			http.Error(w, "the mails cannot be read", http.StatusInternalServerError)
		}
	})
}

// here reports whether an address, with a port or without, is of this machine.
func here(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// sameOrigin reports whether no page of another site has sent the request.
func sameOrigin(r *http.Request) bool {
	o := r.Header.Get("Origin")
	return o == "" || o == "http://"+r.Host
}

func (a *Adapter) serve(w http.ResponseWriter, r *http.Request) error {
	rest := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, Path), "/")
	switch {
	case r.Method == http.MethodDelete && rest == "":
		if err := a.Clear(); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case r.Method == http.MethodPost && rest == "clear":
		if err := a.Clear(); err != nil {
			return err
		}
		http.Redirect(w, r, Path, http.StatusSeeOther)
		return nil
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return nil
	}
	asJSON := rest == ".json" || strings.HasPrefix(r.Header.Get("Accept"), "application/json")
	if rest == "" || rest == ".json" {
		list, err := a.List()
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(w, list)
		}
		mails := make([]any, len(list))
		for i := range list {
			mails[i] = shown(&list[i])
		}
		return page(w, map[string]any{"mails": mails, "some": len(list) > 0})
	}
	id, html := strings.CutSuffix(rest, ".html")
	m, err := a.Get(id)
	if err != nil {
		return err
	}
	if m == nil || html && m.HTML == "" {
		http.NotFound(w, r)
		return nil
	}
	switch {
	case html:
		// Shown in a frame of its own; its links open outside of it.
		w.Header().Set("Content-Security-Policy", "sandbox allow-popups allow-popups-to-escape-sandbox; "+security)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, err = w.Write([]byte(`<base target="_blank">` + m.HTML))
		return err
	case asJSON:
		return writeJSON(w, m)
	}
	return page(w, map[string]any{"mail": shown(m)})
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return json.NewEncoder(w).Encode(v)
}

func page(w http.ResponseWriter, data map[string]any) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := io.WriteString(w, view.Render(data, mustache.HTML))
	return err
}
