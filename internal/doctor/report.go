package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// State is the outcome of a check, of a group, of a report: the words of the
// security report of Parse Server.
type State string

// States.
const (
	Success State = "success"
	Fail    State = "fail"
	// Unknown: the check could not be made.
	Unknown State = "none"
)

// Check is one question and its answer.
type Check struct {
	Title string
	State State
	// Warning and Solution say what is wrong and what to do.
	Warning, Solution string
	// Schema is what to put into the class in schema.json, if that is the solution.
	Schema *parse.Map
}

// Group is checks of one kind.
type Group struct {
	Name string
	Run  func(ctx context.Context) []Check
}

// Doctor examines a server.
type Doctor struct {
	groups []Group
	stats  *Stats // nil: there are none
}

// New returns a Doctor with groups of checks. stats, which may be nil, are
// part of his reports.
func New(stats *Stats, groups ...Group) *Doctor { return &Doctor{groups, stats} }

// Report is what a Doctor found.
type Report struct {
	State  State
	Groups []GroupReport
	// Since is when the statistics in Shapes began; zero without any.
	Since  time.Time
	Shapes []Shape
}

// GroupReport is what the checks of one group found.
type GroupReport struct {
	Name   string
	State  State
	Checks []Check
}

// Examine makes all checks.
func (d *Doctor) Examine(ctx context.Context) *Report {
	r := &Report{State: Success}
	for _, g := range d.groups {
		gr := GroupReport{Name: g.Name, State: Success, Checks: g.Run(ctx)}
		for i := range gr.Checks {
			gr.State = worse(gr.State, gr.Checks[i].State)
		}
		r.State = worse(r.State, gr.State)
		r.Groups = append(r.Groups, gr)
	}
	if d.stats != nil {
		r.Since, r.Shapes = d.stats.Since(), d.stats.Shapes()
	}
	return r
}

func worse(a, b State) State {
	if a == Fail || b == Fail {
		return Fail
	}
	if a == Unknown || b == Unknown {
		return Unknown
	}
	return Success
}

// reportVersion is that of the form of the security report.
const reportVersion = "1.0.0"

// shownShapes is how many shapes a report shows.
const shownShapes = 100

// JSON returns the report in the form of the security report of Parse Server,
// with the statistics beside it.
func (r *Report) JSON() *parse.Map {
	field := func(k string, v parse.Value) parse.MapField { return parse.MapField{Key: k, Value: v} }
	groups := parse.Array{}
	for _, g := range r.Groups {
		checks := parse.Array{}
		for i := range g.Checks {
			c := &g.Checks[i]
			m := parse.NewMap(field("title", c.Title), field("state", string(c.State)))
			if c.Warning != "" {
				m.Set("warning", c.Warning)
			}
			if c.Solution != "" {
				m.Set("solution", c.Solution)
			}
			if c.Schema != nil {
				m.Set("schema", c.Schema)
			}
			checks = append(checks, m)
		}
		groups = append(groups, parse.NewMap(field("name", g.Name), field("state", string(g.State)), field("checks", checks)))
	}
	out := parse.NewMap(field("report", parse.NewMap(field("version", reportVersion), field("state", string(r.State)), field("groups", groups))))
	if r.Since.IsZero() {
		return out
	}
	shapes := parse.Array{}
	for i := range r.Shapes[:min(len(r.Shapes), shownShapes)] {
		s := &r.Shapes[i]
		op := "find"
		if s.Count {
			op = "count"
		}
		m := parse.NewMap(field("title", s.Title()), field("class", s.Class), field("operation", op), field("limit", s.Limit),
			field("calls", float64(s.Calls)), field("rows", float64(s.Rows)), field("totalMs", millis(s.Total)),
			field("p50Ms", millis(s.P50)), field("p95Ms", millis(s.P95)), field("p99Ms", millis(s.P99)), field("maxMs", millis(s.Max)))
		shapes = append(shapes, m)
	}
	out.Set("statistics", parse.NewMap(field("since", r.Since.UTC().Format(time.RFC3339)), field("shapes", shapes)))
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// duration is a time for people.
func duration(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2g ms", d.Seconds()*1e3)
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
