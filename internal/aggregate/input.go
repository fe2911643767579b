package aggregate

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// Stage is one stage of a pipeline as it came.
type Stage struct {
	Name string // with its "$"
	Arg  parse.Value
}

// options are the parameters of a request that are no stages.
var options = map[string]bool{
	"hint": true, "explain": true, "comment": true, "readPreference": true, "rawValues": true, "rawFieldNames": true,
	"where": true, "distinct": true, "pipeline": true,
}

// Stages reads the pipeline of a request: the parameter pipeline, an array of
// stages or an object with a stage at each key, or else all parameters that
// are no options.
func Stages(params *parse.Map) ([]Stage, error) {
	switch v, _ := params.Get("pipeline"); v := v.(type) {
	case nil:
		rest := &parse.Map{}
		for k, v := range params.All() {
			if !options[k] {
				rest.Set(k, v)
			}
		}
		return fromObject(rest)
	case *parse.Map:
		return fromObject(v)
	case parse.Array:
		return fromArray(v)
	}
	return nil, errorf("Invalid aggregate pipeline: it must be an array or an object.")
}

func fromArray(list parse.Array) ([]Stage, error) {
	out := make([]Stage, 0, len(list))
	for _, e := range list {
		m, ok := e.(*parse.Map)
		if !ok || m.Len() == 0 {
			return nil, errorf("Pipeline stages must be objects with one key.")
		}
		if m.Len() > 1 {
			names := make([]string, 0, m.Len())
			for k := range m.All() {
				names = append(names, k)
			}
			return nil, errorf("Pipeline stages should only have one key but found %s.", strings.Join(names, ", "))
		}
		s, err := newStage(m.At(0).Key, m.At(0).Value)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func fromObject(m *parse.Map) ([]Stage, error) {
	out := make([]Stage, 0, m.Len())
	for k, v := range m.All() {
		s, err := newStage(k, v)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func newStage(name string, arg parse.Value) (Stage, error) {
	if !strings.HasPrefix(name, "$") {
		return Stage{}, errorf("Invalid aggregate stage '%s'.", name)
	}
	if name == "$group" {
		m, _ := arg.(*parse.Map)
		if m.Has(parse.KeyObjectID) {
			return Stage{}, errorf("Cannot use 'objectId' in aggregation stage $group.")
		}
		if !m.Has("_id") {
			return Stage{}, errorf("Invalid parameter for query: group. Missing key _id")
		}
	}
	return Stage{Name: name, Arg: arg}, nil
}

// fromEJSON reads the typed values of MongoDB's Extended JSON.
func fromEJSON(v parse.Value) (parse.Value, error) {
	switch v := v.(type) {
	case parse.Array:
		out := make(parse.Array, len(v))
		for i, e := range v {
			var err error
			if out[i], err = fromEJSON(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *parse.Map:
		if v.Len() == 1 {
			if typed, ok, err := typedEJSON(v.At(0).Key, v.At(0).Value); ok || err != nil {
				return typed, err
			}
		}
		out := &parse.Map{}
		for k, e := range v.All() {
			e, err := fromEJSON(e)
			if err != nil {
				return nil, err
			}
			out.Set(k, e)
		}
		return out, nil
	}
	return v, nil
}

func typedEJSON(key string, v parse.Value) (_ parse.Value, ok bool, err error) {
	s, isText := v.(string)
	bad := func() (parse.Value, bool, error) {
		return nil, false, errorf("Invalid Extended JSON value for %s", key)
	}
	switch key {
	case "$date":
		if m, isMap := v.(*parse.Map); isMap {
			v, _ = m.Get("$numberLong")
			text, _ := v.(string)
			ms, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return bad()
			}
			return parse.Date(ms), true, nil
		}
		if n, isNumber := number(v); isNumber {
			return parse.Date(n), true, nil
		}
		d, valid := parse.ParseDate(s)
		if !valid {
			return bad()
		}
		return d, true, nil
	case "$oid":
		if !isText {
			return bad()
		}
		return s, true, nil
	case "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal":
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return bad()
		}
		return n, true, nil
	}
	return nil, false, nil
}

// toEJSON writes the types that JSON lacks as Extended JSON in relaxed form.
func toEJSON(v parse.Value) parse.Value {
	switch v := v.(type) {
	case parse.Date:
		return parse.NewMap(parse.MapField{Key: "$date", Value: v.String()})
	case parse.Bytes:
		return parse.NewMap(parse.MapField{Key: "$binary", Value: parse.NewMap(
			parse.MapField{Key: "base64", Value: base64.StdEncoding.EncodeToString(v)}, parse.MapField{Key: "subType", Value: "00"})})
	default:
		return inside(v, toEJSON)
	}
}
