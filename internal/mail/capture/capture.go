// Package capture keeps mails in a folder instead of sending them, and shows
// them in a browser: for development alone, since whoever sees the mails can
// take over the accounts that they belong to.
package capture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pargo-baas/pargo/internal/mail"
)

// kept is how many mails are kept; older ones go.
const kept = 500

// Mail is a message as it is kept.
type Mail struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html,omitempty"`
}

// Adapter keeps the mails, one JSON file each.
type Adapter struct {
	dir string
	mu  sync.Mutex
	seq int // of the last mail; guarded by mu
}

var _ mail.Adapter = (*Adapter)(nil)

// Open makes the folder, if it is not there, for nobody but the owner of the process.
func Open(dir string) (*Adapter, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of captured mails: %w", err)
	}
	a := &Adapter{dir: dir}
	ids, err := a.ids()
	if err != nil {
		return nil, err
	}
	if len(ids) > 0 {
		a.seq = ids[0]
	}
	return a, nil
}

// Send implements mail.Adapter.
func (a *Adapter) Send(_ context.Context, m *mail.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := strconv.Itoa(a.seq + 1)
	data, err := json.MarshalIndent(Mail{ID: id, At: time.Now().UTC(), To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML}, "", "  ")
	if err != nil {
		return err
	}
	// Written aside and renamed, so that no reader sees half a mail.
	tmp := filepath.Join(a.dir, id+".new")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	if err := os.Rename(tmp, a.file(id)); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	a.seq++
	return a.trim()
}

func (a *Adapter) file(id string) string { return filepath.Join(a.dir, id+".json") }

// trim removes the oldest mails. a.mu is held.
func (a *Adapter) trim() error {
	ids, err := a.ids()
	if err != nil {
		return err
	}
	for _, id := range ids[min(len(ids), kept):] {
		if err := os.Remove(a.file(strconv.Itoa(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old mail: %w", err)
		}
	}
	return nil
}

// ids lists the mails, the newest first.
func (a *Adapter) ids() ([]int, error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, fmt.Errorf("list captured mails: %w", err)
	}
	var out []int
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if n, err := strconv.Atoi(name); ok && err == nil && n > 0 {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(x, y int) int { return cmp.Compare(y, x) })
	return out, nil
}

// List returns the mails, the newest first.
func (a *Adapter) List() ([]Mail, error) {
	ids, err := a.ids()
	if err != nil {
		return nil, err
	}
	out := make([]Mail, 0, len(ids))
	for _, id := range ids {
		m, err := a.Get(strconv.Itoa(id))
		if err != nil {
			return nil, err
		}
		if m != nil { // else it has gone meanwhile
			out = append(out, *m)
		}
	}
	return out, nil
}

// Get returns one mail; nil if there is none.
func (a *Adapter) Get(id string) (*Mail, error) {
	if n, err := strconv.Atoi(id); err != nil || strconv.Itoa(n) != id {
		return nil, nil
	}
	data, err := os.ReadFile(a.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read captured mail: %w", err)
	}
	var m Mail
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read captured mail %s: %w", id, err)
	}
	return &m, nil
}

// Clear removes all mails.
func (a *Adapter) Clear() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids, err := a.ids()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := os.Remove(a.file(strconv.Itoa(id))); err != nil {
			return fmt.Errorf("remove captured mail: %w", err)
		}
	}
	return nil
}
