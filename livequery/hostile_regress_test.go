package livequery_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/livequery"
	"github.com/pargo-baas/pargo/schema"
)

// TestHostileLists: lists of names cost work for every event, and internal
// fields may not be watched.
func TestHostileLists(t *testing.T) {
	names := make([]string, 30_000)
	for i := range names {
		names[i] = `"f` + strconv.Itoa(i) + `"`
	}
	many := "[" + strings.Join(names, ",") + "]"
	r := newRig(t, livequery.Options{})
	r.schema.set(&schema.Class{Name: "Item"})
	s := r.connect(t, "")
	for _, tt := range []struct{ member, want string }{
		{`"keys":` + many, "Array is too long (30000), maximum 1000"},
		{`"fields":` + many, "Array is too long (30000), maximum 1000"},
		{`"watch":` + many, "Array is too long (30000), maximum 1000"},
		{`"watch":["_hashed_password"]`, "Invalid key name: _hashed_password"},
		{`"watch":["name","_rperm"]`, "Invalid key name: _rperm"},
	} {
		s.send(`{"op":"subscribe","requestId":1,"query":{"className":"Item","where":{},` + tt.member + `}}`)
		if got := s.next(); !strings.Contains(got, tt.want) {
			t.Errorf("%.30s: %s, want %s", tt.member, got, tt.want)
		}
	}
}
