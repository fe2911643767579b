package objects_test

import (
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// An object that lists itself twice doubles with each level of an include.
func TestIncludeOfItselfEnds(t *testing.T) {
	f := setup(t, objects.Options{AllowCustomObjectID: true}, false, def("Node", field("list", schema.Array), pointerTo("self", "Node")))
	self := `{"__type":"Pointer","className":"Node","objectId":"n"}`
	f.create(t, master, "Node", `{"objectId":"n","list":[`+self+`,`+self+`],"self":`+self+`}`)
	for depth, code := range map[int]parse.Code{1: 0, 10: 0, 30: parse.InvalidQuery, 50: parse.InvalidQuery} {
		path := strings.Repeat("list.", depth-1) + "list"
		_, err := f.find(t, user("u"), "Node", `{"include":"`+path+`"}`)
		wantCode(t, err, code)
	}
	_, err := f.find(t, user("u"), "Node", `{"include":"`+strings.Repeat("self.", 49)+`self"}`)
	wantCode(t, err, 0)
}
