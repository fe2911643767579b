package mongo_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/pargo-baas/pargo/internal/storage/mongo"
	"github.com/pargo-baas/pargo/schema"
)

// streams answers the commands of a change stream: that it opens, and its events
// as the test sends them.
type streams struct {
	refuse chan bson.D // answers to the next attempts to open one
	events chan bson.D // answers to the next questions for events
	done   <-chan struct{}
}

func (s *streams) answer(c command) bson.D {
	switch c.name() {
	case "aggregate":
		select {
		case d := <-s.refuse:
			return d
		default:
		}
		return batch("firstBatch", 7)
	case "getMore":
		select {
		case d := <-s.events:
			return d
		case <-s.done:
			return hangUp
		}
	}
	return nil
}

func event(token string) bson.D {
	return batch("nextBatch", 7, bson.D{{Key: "_id", Value: bson.D{{Key: "_data", Value: token}}}})
}

// hears waits for a word.
func hears(t *testing.T, told <-chan schema.Word, want schema.Word, what string) {
	t.Helper()
	select {
	case w := <-told:
		if w != want {
			t.Fatalf("%s: heard %d, want %d", what, w, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was not heard", what)
	}
}

// Changes of the schema are told by a change stream, which comes back after
// whatever may befall it.
func TestWatch(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) }) // after the others
	c := newCluster(t, 1)
	s := &streams{refuse: make(chan bson.D, 10), events: make(chan bson.D), done: t.Context().Done()}
	c.says(s.answer)
	store := c.store(mongo.Options{CollectionPrefix: "p_"})
	defer func() { _ = store.Close() }()
	told := store.(schema.Notifier).SchemaChanges(t.Context())
	changed := func(what string) { t.Helper(); hears(t, told, schema.Changed, what) }
	changed("the beginning")

	opened := c.asked()
	if len(opened) == 0 {
		t.Fatal("nothing was asked")
	}
	want := `{"aggregate":"p__SCHEMA","pipeline":[{"$changeStream":{}},{"$project":{"_id":1}}],"cursor":{}}`
	if diff := cmp.Diff(want, opened[0].only("aggregate", "pipeline", "cursor")); diff != "" {
		t.Error(diff)
	}
	s.events <- event("1")
	changed("an event")
	s.events <- batch("nextBatch", 7) // nothing in ten seconds
	s.events <- event("2")
	changed("the next event")
	if asked := c.asked("getMore")[0].only("getMore", "maxTimeMS"); asked != `{"getMore":7,"maxTimeMS":10000}` {
		t.Errorf("events are asked for by %s", asked)
	}

	// What the driver resumes nobody hears of.
	c.says(s.answer)
	s.events <- refusal(11600, "InterruptedAtShutdown", "ResumableChangeStreamError")
	s.events <- event("3")
	changed("an event after the stream was resumed")
	want = `{"pipeline":[{"$changeStream":{"resumeAfter":{"_data":"2"}}},{"$project":{"_id":1}}]}`
	if again := c.asked("aggregate"); len(again) != 1 || again[0].only("pipeline") != want {
		t.Errorf("resumed by %v", again)
	}
	s.events <- hangUp
	s.events <- event("4")
	changed("an event after the connection was lost")

	// Others begin anew, without the token that was of no use.
	for name, failure := range map[string]bson.D{
		"history is lost":         refusal(286, "ChangeStreamHistoryLost", "NonResumableChangeStreamError"),
		"the stream ends":         batch("nextBatch", 0),
		"the rights are taken":    refusal(13, "not authorized"),
		"an event without a name": batch("nextBatch", 7, bson.D{{Key: "x", Value: 1}}),
	} {
		c.says(s.answer)
		s.refuse <- refusal(13, "not yet")
		s.events <- failure
		hears(t, told, schema.Deaf, name)
		changed("a new stream after " + name)
		all := c.asked("aggregate")
		if last := all[len(all)-1].only("pipeline"); len(all) < 2 || last != `{"pipeline":[{"$changeStream":{}},{"$project":{"_id":1}}]}` {
			t.Errorf("after %s: %d attempts, at last %s", name, len(all), last)
		}
		s.events <- event("5")
		changed("an event after " + name)
	}
} // and the store closes with a question for events under way

// A server without change streams is asked once, and serves without them.
func TestNoWatch(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	c := newCluster(t, 1)
	for name, answer := range map[string]bson.D{
		"no replica set": refusal(40573, "The $changeStream stage is only supported on replica sets"),
		"not known":      refusal(115, "Stage $changeStream is not supported yet in native pipeline"),
		"not allowed":    refusal(13, "not authorized on x to execute command"),
	} {
		c.says(func(c command) bson.D {
			if c.name() == "aggregate" {
				return answer
			}
			return nil
		})
		said := make(chan string, 100)
		store := c.store(mongo.Options{Log: slog.New(slog.NewTextHandler(sentences(said), nil))})
		told := store.(schema.Notifier).SchemaChanges(t.Context())
		for line := range said {
			if strings.Contains(line, "no change streams") {
				break
			}
		}
		if n := len(c.asked("aggregate")); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if len(told) > 0 {
			t.Errorf("%s: told %d", name, <-told)
		}
	}
}

// sentences sends what is written to it.
type sentences chan<- string

func (s sentences) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}
