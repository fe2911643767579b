package query

import (
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Advice is what a query says of how it is to be run. It changes no result.
type Advice struct {
	// Hint names the index to use; HintKeys describes it by its keys instead.
	Hint     string
	HintKeys *parse.Map
	// Comment goes with the query to the logs of the database.
	Comment string
	// Read is where to read from. IncludeRead and SubqueryRead, if set, hold
	// for included objects and sub-queries.
	Read, IncludeRead, SubqueryRead ReadPreference
}

// Hinted reports whether the advice asks for an index.
func (a *Advice) Hinted() bool { return a != nil && (a.Hint != "" || a.HintKeys != nil) }

// ForIncludes returns what of the advice holds for included objects.
func (a *Advice) ForIncludes() *Advice {
	if a == nil {
		return nil
	}
	return readFrom(a.IncludeRead, a.Read)
}

// ForSubqueries returns what of the advice holds for sub-queries.
func (a *Advice) ForSubqueries() *Advice {
	if a == nil {
		return nil
	}
	return readFrom(a.SubqueryRead, a.Read)
}

func readFrom(own, general ReadPreference) *Advice {
	if own == 0 {
		own = general
	}
	if own == 0 {
		return nil
	}
	return &Advice{Read: own}
}

// ReadPreference says which members of a replica set may answer.
type ReadPreference uint8

// Read preferences; the zero value is that of the database's options.
const (
	Primary ReadPreference = iota + 1
	PrimaryPreferred
	Secondary
	SecondaryPreferred
	Nearest
)

func readPreference(v parse.Value) (ReadPreference, error) {
	if !parse.Truthy(v) {
		return 0, nil
	}
	s, _ := v.(string)
	switch strings.ToUpper(s) {
	case "PRIMARY":
		return Primary, nil
	case "PRIMARY_PREFERRED":
		return PrimaryPreferred, nil
	case "SECONDARY":
		return Secondary, nil
	case "SECONDARY_PREFERRED":
		return SecondaryPreferred, nil
	case "NEAREST":
		return Nearest, nil
	}
	return 0, parse.Errorf(parse.InvalidQuery, "Not supported read preference.")
}

// adviceParam reads one of the parameters that become Advice.
func (q *Query) adviceParam(key string, v parse.Value) (err error) {
	if !parse.Truthy(v) {
		return nil
	}
	if q.Advice == nil {
		q.Advice = &Advice{}
	}
	a := q.Advice
	switch key {
	case "hint":
		switch v := v.(type) {
		case string:
			a.Hint = v
		case *parse.Map:
			a.HintKeys = v
		default:
			return parse.Errorf(parse.InvalidQuery, "hint must be the name of an index or an object with its keys")
		}
	case "comment":
		s, ok := v.(string)
		if !ok { // what of a URL looks like JSON comes as such
			s = string(parse.AppendJSON(nil, v))
		}
		a.Comment = s
	case "readPreference":
		a.Read, err = readPreference(v)
	case "includeReadPreference":
		a.IncludeRead, err = readPreference(v)
	case "subqueryReadPreference":
		a.SubqueryRead, err = readPreference(v)
	}
	return err
}

// Verbosity of an explanation, as MongoDB names them; "" asks for none.
type Verbosity string

// Verbosities.
const (
	QueryPlanner         Verbosity = "queryPlanner"
	QueryPlannerExtended Verbosity = "queryPlannerExtended"
	ExecutionStats       Verbosity = "executionStats"
	AllPlansExecution    Verbosity = "allPlansExecution"
	// Outline is the plan without figures, which count what its reader may not see.
	Outline Verbosity = "outline"
)

// verbosities are those that can be asked for.
var verbosities = [...]Verbosity{QueryPlanner, QueryPlannerExtended, ExecutionStats, AllPlansExecution}

// explainParam reads explain, which is for those who may see how the database works.
func explainParam(v parse.Value, sc Scope) (Verbosity, error) {
	if !flag(v) {
		return "", nil
	}
	if !sc.Master && !sc.Explain {
		return "", parse.Errorf(parse.InvalidQuery, "Using the explain query parameter requires the master key")
	}
	x := AllPlansExecution // of true, as the drivers of MongoDB take it
	if v != true && v != "true" {
		s, _ := v.(string)
		x = Verbosity(s)
	}
	if !slices.Contains(verbosities[:], x) {
		return "", parse.Errorf(parse.InvalidQuery, "Invalid value for explain")
	}
	if !sc.Master {
		return Outline, nil
	}
	return x, nil
}
