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

// sortKeys reads an order and says that its fields are looked at.
func (c *compiler) sortKeys(op string, m *parse.Map) ([]sortKey, error) {
	keys, err := sortKeys(op, m)
	for _, k := range keys {
		c.seen.see(k.path[0])
	}
	return keys, err
}

func sortKeys(op string, m *parse.Map) ([]sortKey, error) {
	if m.Len() == 0 {
		return nil, errorf("the %s key specification must be an object with at least one field", op)
	}
	var keys []sortKey
	for k, v := range m.All() {
		n, ok := whole(v)
		if !ok || n != 1 && n != -1 {
			return nil, errorf("%s key ordering must be 1 (for ascending) or -1 (for descending)", op)
		}
		path, err := fieldPath(op, k)
		if err != nil {
			return nil, err
		}
		keys = append(keys, sortKey{path, n < 0})
	}
	return keys, nil
}

// keysOf are the values by which a document is sorted.
func keysOf(keys []sortKey, d parse.Value) []parse.Value {
	out := make([]parse.Value, len(keys))
	for i, k := range keys {
		out[i] = k.of(d)
	}
	return out
}

func compareKeys(keys []sortKey, a, b []parse.Value) int {
	for i, k := range keys {
		if c := compare(a[i], b[i]); c != 0 {
			if k.desc {
				return -c
			}
			return c
		}
	}
	return 0
}

// sorted returns documents in an order; those that are alike stay as they are.
func sorted(r *run, keys []sortKey, docs []*parse.Map) ([]*parse.Map, error) {
	type row struct {
		doc  *parse.Map
		keys []parse.Value
	}
	rows := make([]row, len(docs))
	for i, d := range docs {
		if err := r.step(); err != nil {
			return nil, err
		}
		rows[i] = row{d, keysOf(keys, d)}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return compareKeys(keys, a.keys, b.keys) })
	out := make([]*parse.Map, len(rows))
	for i := range rows {
		out[i] = rows[i].doc
	}
	return out, nil
}

func (c *compiler) sort(arg parse.Value) (stage, error) {
	m, _ := arg.(*parse.Map)
	keys, err := c.sortKeys("$sort", m)
	if err != nil {
		return nil, err
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) { return sorted(r, keys, docs) }, nil
}

// of is the value by which a document is sorted: of an array the least
// element, or the greatest if descending; missing is null.
func (k sortKey) of(d parse.Value) parse.Value {
	var best parse.Value
	first := true
	take := func(v parse.Value) {
		if c := compare(v, best); first || c < 0 != k.desc && c != 0 {
			best, first = v, false
		}
	}
	for _, v := range reachOne(d, k.path) {
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
	c.seen.see(path[0])
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
			if err := r.step(); err != nil {
				return nil, err
			}
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
		closed := c.seen.closed // each begins with the documents at hand
		p, err := c.pipeline(stages, faceted)
		if err != nil {
			return nil, err
		}
		c.seen.closed = closed
		names, pipelines = append(names, k), append(pipelines, p)
	}
	c.seen.close()
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
		if err := r.fits(out); err != nil {
			return nil, err
		}
		return []*parse.Map{out}, nil
	}, nil
}

func (c *compiler) count(arg parse.Value) (stage, error) {
	name, _ := arg.(string)
	if name == "" || name[0] == '$' || strings.Contains(name, ".") {
		return nil, errorf("the count field must be a non-empty string without '$' in front and without '.'")
	}
	c.seen.close()
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
