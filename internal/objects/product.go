package objects

import (
	"context"

	"github.com/pargo-baas/pargo/parse"
)

// productRule keeps the class of products that are sold in stores: the file to
// download tells its name, and no product lacks what a store shows.
type productRule struct{ NopRule }

var _ ClassRule = productRule{}

// productColumns are told in this order when they are missing.
var productColumns = [...]string{"productIdentifier", "icon", "order", "title", "subtitle"}

// BeforeWrite implements [ClassRule].
func (productRule) BeforeWrite(_ context.Context, w *WriteState) error { return product(w) }

// AfterHooks implements [ClassRule].
func (productRule) AfterHooks(_ context.Context, w *WriteState) error { return product(w) }

func product(w *WriteState) error {
	if v, _ := w.Body.Get("download"); v != nil {
		if f, ok := v.(parse.File); ok {
			w.Body.Set("downloadName", f.Name)
		}
	}
	for _, name := range productColumns {
		if v, sent := w.Body.Get(name); absent(v) && (sent || !w.Update) {
			return parse.Errorf(parse.IncorrectType, "%s is required.", name)
		}
	}
	return nil
}
