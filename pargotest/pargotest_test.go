package pargotest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/pargotest"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

func TestServer(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	ran := 0
	s := pargotest.Start(t, pargotest.At(start),
		pargotest.Config(func(c *config.Config) {
			c.AppName, c.PublicServerURL, c.VerifyUserEmails = "app", "http://localhost/parse", true
		}),
		pargotest.Cloud(func(app *cloudcode.App) {
			app.Job("nightly", func(context.Context, *cloudcode.JobRequest) (string, error) { ran++; return "", nil })
		}))
	ann := s.SignUp("ann")
	if m := s.WaitMail(1); !strings.Contains(m.To, "ann@example.com") {
		t.Errorf("the mail went to %s", m.To)
	}
	id := ann.Post("/classes/Note", `{"text":"x"}`).WantOK().ID()
	if o, err := s.Client().Get(t.Context(), "Note", id); err != nil || o.CreatedAt != parse.NewDate(start) {
		t.Errorf("%v, %v", o, err)
	}
	ann.Post("/events/Seen", `{"dimensions":{"a":"b"}}`).WantOK()
	if e := s.Events(); len(e) != 1 || e[0].Name != "Seen" || e[0].Dimensions.String("a") != "b" {
		t.Error(e)
	}
	s.Master().Post("/cloud_code/jobs", `{"job_schedule":{"jobName":"nightly","cron":"0 4 * * *"}}`).WantOK()
	s.Advance(time.Hour)
	s.Advance(time.Hour)
	if ran != 1 {
		t.Errorf("the job ran %d times", ran)
	}
	ann.Get("/users/me").WantOK()
	s.Advance(2 * 365 * 24 * time.Hour)
	ann.Get("/users/me").WantError(209, "")
	s.Nobody().Get("/classes/Note", "count", "1").WantOK()
	ann.Delete("/classes/Note/"+id).WantError(209, "")
	s.Master().Delete("/classes/Note/" + id).WantOK()
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		pargotest.Start(b)
	}
}
