package objects_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
)

// A request cannot give a class more fields than a database can take.
func TestFieldsAreBounded(t *testing.T) {
	wide := func(prefix string, n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = `"` + prefix + strconv.Itoa(i) + `":1`
		}
		return "{" + strings.Join(names, ",") + "}"
	}
	f := setup(t, objects.Options{AllowClientClassCreation: true}, false)
	create := func(text string) error {
		_, err := f.Create(t.Context(), user("u"), &objects.Write{Class: "Wide", Body: body(t, text)})
		return err
	}
	wantCode(t, create(wide("a", 5000)), parse.RequestLimitExceeded)
	wantCode(t, create(wide("a", 900)), 0)
	wantCode(t, create(wide("b", 200)), parse.RequestLimitExceeded)
	wantCode(t, create(wide("a", 900)), 0)
}
