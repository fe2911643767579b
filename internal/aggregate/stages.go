package aggregate

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

type sortKey struct {
	path []string
	desc bool
}

func (c *compiler) sort(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil, errorf("the $sort key specification must be an object with at least one field")
	}
	var keys []sortKey
	for k, v := range m.All() {
		n, ok := whole(v)
		if !ok || n != 1 && n != -1 {
			return nil, errorf("$sort key ordering must be 1 (for ascending) or -1 (for descending)")
		}
		path, err := fieldPath("$sort", k)
		if err != nil {
			return nil, err
		}
		keys = append(keys, sortKey{path, n < 0})
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		type row struct {
			doc  *parse.Map
			keys []parse.Value
		}
		rows := make([]row, len(docs))
		for i, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			values := make([]parse.Value, len(keys))
			for j, k := range keys {
				values[j] = k.of(d)
			}
			rows[i] = row{d, values}
		}
		slices.SortStableFunc(rows, func(a, b row) int {
			for i, k := range keys {
				if c := compare(a.keys[i], b.keys[i]); c != 0 {
					if k.desc {
						return -c
					}
					return c
				}
			}
			return 0
		})
		out := make([]*parse.Map, len(rows))
		for i := range rows {
			out[i] = rows[i].doc
		}
		return out, nil
	}, nil
}

// of is the value by which a document is sorted: of an array the least
// element, or the greatest if descending; missing is null.
func (k sortKey) of(d *parse.Map) parse.Value {
	var best parse.Value
	first := true
	take := func(v parse.Value) {
		if c := compare(v, best); first || c < 0 != k.desc && c != 0 {
			best, first = v, false
		}
	}
	for _, v := range reach(d, k.path) {
		list, ok := v.(parse.Array)
		if !ok {
			take(orNull(v))
			continue
		}
		if len(list) == 0 {
			take(missing{}) // an empty array comes before null
		}
		for _, e := range list {
			take(e)
		}
	}
	return best
}

func (c *compiler) page(s Stage) (stage, error) {
	n, ok := whole(s.Arg)
	if !ok || n < 0 || n == 0 && s.Name == "$limit" {
		return nil, errorf("invalid argument to %s stage: the value must be a positive integer", s.Name)
	}
	return func(_ *run, docs []*parse.Map) ([]*parse.Map, error) {
		if s.Name == "$limit" {
			return docs[:min(n, len(docs))], nil
		}
		return docs[min(n, len(docs)):], nil
	}, nil
}

// pathArg reads a field path "$a.b" that names a field of the document.
func pathArg(op string, v parse.Value) ([]string, error) {
	s, _ := v.(string)
	name, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, errorf("path option to %s stage should be prefixed with a '$': %s", op, s)
	}
	return fieldPath(op, name)
}

func (c *compiler) unwind(arg parse.Value) (stage, error) {
	keep, index := false, ""
	if m, ok := arg.(*parse.Map); ok {
		for k, v := range m.All() {
			ok := true
			switch k {
			case "path":
				arg = v
			case "preserveNullAndEmptyArrays":
				keep, ok = v.(bool)
			case "includeArrayIndex":
				index, ok = v.(string)
				ok = ok && index != "" && index[0] != '$'
			default:
				return nil, errorf("unrecognized option to $unwind stage: %s", k)
			}
			if !ok {
				return nil, errorf("invalid value of %s in the $unwind stage", k)
			}
		}
	}
	path, err := pathArg("$unwind", arg)
	if err != nil {
		return nil, err
	}
	var indexPath []string
	if index != "" {
		if indexPath, err = fieldPath("$unwind", index); err != nil {
			return nil, err
		}
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		var out []*parse.Map
		b := budget{lim: r.lim}
		emit := func(d *parse.Map, i parse.Value) error {
			if indexPath != nil {
				d = set(d, indexPath, i)
			}
			out = append(out, d)
			return b.add(d)
		}
		for _, d := range docs {
			v := straight(d, path)
			list, isArray := v.(parse.Array)
			var err error
			switch {
			case isArray && len(list) > 0:
				for i, e := range list {
					if err = r.step(); err == nil {
						err = emit(set(d, path, e), float64(i))
					}
					if err != nil {
						return nil, err
					}
				}
			case isArray && keep:
				err = emit(set(d, path, missing{}), nil)
			case isArray, absent(v) && !keep:
			default:
				err = emit(d, nil)
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	}, nil
}

// straight follows a path through objects alone.
func straight(v parse.Value, path []string) parse.Value {
	for _, name := range path {
		v = field(v, name)
	}
	return v
}

func (c *compiler) lookup(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok {
		return nil, errorf("the $lookup stage specification must be an object")
	}
	want := map[string]string{"from": "", "localField": "", "foreignField": "", "as": ""}
	for k, v := range m.All() {
		if _, known := want[k]; !known {
			return nil, errorf("$lookup argument '%s' is not supported", k)
		}
		want[k], _ = v.(string)
	}
	for _, k := range [...]string{"from", "localField", "foreignField", "as"} {
		if want[k] == "" {
			return nil, errorf("$lookup requires a string for '%s'", k)
		}
	}
	local, err := fieldPath("$lookup", want["localField"])
	if err != nil {
		return nil, err
	}
	foreign, err := fieldPath("$lookup", want["foreignField"])
	if err != nil {
		return nil, err
	}
	as, err := fieldPath("$lookup", want["as"])
	if err != nil {
		return nil, err
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		var others []*parse.Map
		if fetch := r.p.o.Fetch; fetch != nil && len(docs) > 0 {
			var err error
			if others, err = fetch(r.ctx, want["from"]); err != nil {
				return nil, err
			}
		}
		byKey := map[string][]int{}
		for i, o := range others {
			if err := r.step(); err != nil {
				return nil, err
			}
			for _, k := range joinKeys(o, foreign) {
				byKey[k] = append(byKey[k], i)
			}
		}
		b := budget{lim: r.lim}
		out := make([]*parse.Map, len(docs))
		for i, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			var found []int
			for _, k := range joinKeys(d, local) {
				found = append(found, byKey[k]...)
			}
			slices.Sort(found)
			found = slices.Compact(found)
			list := make(parse.Array, len(found))
			for j, n := range found {
				list[j] = others[n]
			}
			out[i] = set(d, as, list)
			if err := r.fits(out[i]); err != nil {
				return nil, err
			}
			if err := b.add(out[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}, nil
}

// joinKeys are the keys of the values by which $lookup finds a document;
// missing counts as null.
func joinKeys(d *parse.Map, path []string) []string {
	var out []string
	add := func(v parse.Value) {
		if key := string(appendKey(nil, orNull(v))); !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	for _, v := range reach(d, path) {
		list, ok := v.(parse.Array)
		if !ok {
			add(v)
		}
		for _, e := range list {
			add(e)
		}
	}
	return out
}

func (c *compiler) facet(arg parse.Value) (stage, error) {
	m, ok := arg.(*parse.Map)
	if !ok || m.Len() == 0 {
		return nil, errorf("the $facet specification must be a non-empty object")
	}
	names, pipelines := make([]string, 0, m.Len()), make([][]stage, 0, m.Len())
	for k, v := range m.All() {
		list, ok := v.(parse.Array)
		if path, err := fieldPath("$facet", k); err != nil || len(path) != 1 || !ok {
			return nil, errorf("arguments to $facet must be arrays, each under a plain name; %s is not", k)
		}
		stages, err := fromArray(list)
		if err != nil {
			return nil, err
		}
		p, err := c.pipeline(stages, true)
		if err != nil {
			return nil, err
		}
		names, pipelines = append(names, k), append(pipelines, p)
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		out := &parse.Map{}
		b := budget{lim: r.lim}
		for i, p := range pipelines {
			got, err := runStages(r, p, docs)
			if err != nil {
				return nil, err
			}
			list := make(parse.Array, len(got))
			for j, d := range got {
				list[j] = d
				if err := b.add(d); err != nil {
					return nil, err
				}
			}
			out.Set(names[i], list)
		}
		return []*parse.Map{out}, nil
	}, nil
}

func (c *compiler) count(arg parse.Value) (stage, error) {
	name, _ := arg.(string)
	if name == "" || name[0] == '$' || strings.Contains(name, ".") {
		return nil, errorf("the count field must be a non-empty string without '$' in front and without '.'")
	}
	return func(_ *run, docs []*parse.Map) ([]*parse.Map, error) {
		if len(docs) == 0 {
			return nil, nil
		}
		return []*parse.Map{parse.NewMap(parse.MapField{Key: name, Value: float64(len(docs))})}, nil
	}, nil
}

func (c *compiler) sample(arg parse.Value) (stage, error) {
	m, _ := arg.(*parse.Map)
	v, _ := m.Get("size")
	n, ok := whole(v)
	if !ok || n < 0 {
		return nil, errorf("size argument to $sample must be a number that is not negative")
	}
	return func(_ *run, docs []*parse.Map) ([]*parse.Map, error) {
		out := slices.Clone(docs)
		rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] }) //nolint:gosec // a sample is no secret
		return out[:min(n, len(out))], nil
	}, nil
}
