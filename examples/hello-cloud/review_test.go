package main

import (
	"testing"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/pargotest"
)

func TestReviews(t *testing.T) {
	s := pargotest.Start(t, pargotest.Cloud(register))
	ann := s.SignUp("ann")
	s.Nobody().Post("/classes/Review", `{"movie":"Metropolis","stars":5}`).WantError(142, "Validation failed. Please login to continue.")
	ann.Post("/classes/Review", `{"movie":"Metropolis","stars":9}`).WantError(142, "stars must be between 1 and 5")
	for _, body := range []string{`{"movie":"Metropolis","stars":4}`, `{"movie":"Metropolis","stars":5}`, `{"movie":"M","stars":1,"draft":true}`} {
		ann.Post("/classes/Review", body).WantOK()
	}
	if v := ann.Call("averageStars", `{"movie":"Metropolis"}`); v != 4.5 {
		t.Errorf("the average is %v", v)
	}
	if v := ann.Call("hello", `{"name":"Ann"}`); v != "Hello, Ann!" {
		t.Error(v)
	}
	if text, err := s.RunJob("removeDrafts", nil); err != nil || text != "removed 1 drafts" {
		t.Error(text, err)
	}
	if n := s.Calls(cloudcode.TriggerBeforeSave, "Review"); n != 4 {
		t.Errorf("the hook ran %d times", n)
	}
}
