package aggregate

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// accumulator gathers the values of one field of one group.
type accumulator interface {
	// add takes a value; b, if not nil, counts what is kept.
	add(b *budget, v parse.Value) error
	result() parse.Value
}

// accumulators is a constant table.
var accumulators = map[string]func() accumulator{
	"$sum": func() accumulator { return newTally("$sum") }, "$avg": func() accumulator { return newTally("$avg") },
	"$min": func() accumulator { return newTally("$min") }, "$max": func() accumulator { return newTally("$max") },
	"$stdDevPop": func() accumulator { return newTally("$stdDevPop") }, "$stdDevSamp": func() accumulator { return newTally("$stdDevSamp") },
	"$first": func() accumulator { return &picked{first: true} }, "$last": func() accumulator { return &picked{} },
	"$push": func() accumulator { return &pushing{} }, "$addToSet": func() accumulator { return &pushing{seen: map[string]bool{}} },
	"$mergeObjects": func() accumulator { return &merging{} },
	"$count":        func() accumulator { return newTally("$sum") },
}

// tally computes from numbers, or finds the least or greatest value.
type tally struct {
	op        string
	n         float64
	sum, lost float64 // lost: what rounding took from sum (Neumaier)
	mean, m2  float64
	exact     int64 // the sum, while all are integers
	inexact   bool
	long      bool // one is beyond what a float64 holds
	best      parse.Value
	any       bool
}

func newTally(op string) *tally { return &tally{op: op} }

func (t *tally) add(_ *budget, v parse.Value) error {
	if t.op == "$min" || t.op == "$max" {
		if !absent(v) && (!t.any || compare(v, t.best) < 0 == (t.op == "$min")) {
			t.best, t.any = v, true
		}
		return nil
	}
	x, ok := number(v)
	if !ok {
		return nil
	}
	t.n++
	_, long := v.(parse.Int)
	t.long = t.long || long
	if n, ok := integer(v); ok && !t.inexact {
		t.exact, ok = sumInt(t.exact, n)
		t.inexact = !ok
	} else {
		t.inexact = true
	}
	sum := t.sum + x
	if math.Abs(t.sum) >= math.Abs(x) {
		t.lost += t.sum - sum + x
	} else {
		t.lost += x - sum + t.sum
	}
	t.sum = sum
	delta := x - t.mean
	t.mean += delta / t.n
	t.m2 += delta * (x - t.mean)
	return nil
}

func (t *tally) result() parse.Value {
	total := t.sum
	if !math.IsInf(total, 0) {
		total += t.lost
	}
	switch t.op {
	case "$sum":
		if t.long && !t.inexact {
			return fromInt(t.exact)
		}
		return total
	case "$avg":
		if t.n > 0 {
			return total / t.n
		}
	case "$stdDevPop":
		if t.n > 0 {
			return math.Sqrt(t.m2 / t.n)
		}
	case "$stdDevSamp":
		if t.n > 1 {
			return math.Sqrt(t.m2 / (t.n - 1))
		}
	default:
		return t.best
	}
	return nil
}

type picked struct {
	first, any bool
	value      parse.Value
}

func (p *picked) add(_ *budget, v parse.Value) error {
	if !p.any || !p.first {
		p.value, p.any = orNull(v), true
	}
	return nil
}

func (p *picked) result() parse.Value { return p.value }

// pushing is $push, or $addToSet if it remembers what it has seen.
type pushing struct {
	list parse.Array
	seen map[string]bool
}

func (p *pushing) add(b *budget, v parse.Value) error {
	if isMissing(v) {
		return nil
	}
	if p.seen != nil {
		key := string(appendKey(nil, v))
		if p.seen[key] {
			return nil
		}
		p.seen[key] = true
	}
	p.list = append(p.list, v)
	return b.grow(v)
}

func (p *pushing) result() parse.Value {
	if p.list == nil {
		return parse.Array{}
	}
	return p.list[:len(p.list):len(p.list)]
}

type merging struct{ m parse.Map }

func (m *merging) add(b *budget, v parse.Value) error {
	if absent(v) {
		return nil
	}
	from, ok := v.(*parse.Map)
	if !ok {
		return errorf("$mergeObjects requires object inputs, but input is of type %s", typeName(v))
	}
	for k, v := range from.All() {
		m.m.Set(k, v)
	}
	return b.grow(v)
}

func (m *merging) result() parse.Value { return m.m.Clone() }

// accumulator compiles an accumulator: what gathers values, and the expression
// that they are values of.
func (c *compiler) accumulator(op string, arg parse.Value) (g gathering, err error) {
	switch op {
	case "$top", "$topN", "$bottom", "$bottomN":
		return c.topOf(op, arg)
	case "$firstN", "$lastN", "$maxN", "$minN":
		return c.someOfGroup(op, arg)
	case "$percentile", "$median":
		return c.quantilesOf(op, arg)
	case "$count":
		if m, ok := arg.(*parse.Map); !ok || m.Len() > 0 {
			return g, errorf("$count takes no arguments, i.e. $count:{}")
		}
		arg = 1.0
	}
	var ok bool
	if g.make, ok = accumulators[op]; !ok {
		return g, errorf("unknown group operator '%s'", op)
	}
	g.x, err = c.expr(arg)
	return g, err
}

// constantSteps bounds what a number may take to compute.
const constantSteps = 100_000

// howMany reads n of $topN and the like, which must not depend on documents.
func (c *compiler) howMany(op string, v parse.Value) (int, error) {
	outer := c.seen
	c.seen = &sight{}
	x, err := c.expr(v)
	constant := !c.seen.all && len(c.seen.fields) == 0
	c.seen = outer
	if err != nil {
		return 0, err
	}
	if !constant || len(c.scope) > 0 {
		return 0, errorf("%s requires 'n' to be a constant", op)
	}
	lim := c.o.Limits
	lim.Steps = min(lim.Steps, constantSteps) // nobody can end it
	once := &run{lim: lim, steps: new(int), finding: new(time.Duration)}
	if v, err = x(&env{r: once, root: missing{}, doc: missing{}}); err != nil {
		return 0, err
	}
	n, ok := whole(v)
	if !ok || n < 1 {
		return 0, errorf("'n' of %s must be a positive integer, found %s", op, parse.AppendJSON(nil, orNull(v)))
	}
	return n, nil
}

// keyed is a value with those by which it is sorted.
type keyed struct {
	keys  []parse.Value
	value parse.Value
}

func (c *compiler) topOf(op string, arg parse.Value) (g gathering, err error) {
	m, _ := arg.(*parse.Map)
	required := []string{"sortBy", "output"}
	single := op == "$top" || op == "$bottom"
	n := 1
	if !single {
		required = append(required, "n")
	}
	if err := checkArguments(op, m, required, nil); err != nil {
		return g, err
	}
	if !single {
		v, _ := m.Get("n")
		if n, err = c.howMany(op, v); err != nil {
			return g, err
		}
	}
	v, _ := m.Get("sortBy")
	by, _ := v.(*parse.Map)
	keys, err := c.sortKeys(op, by)
	if err != nil {
		return g, err
	}
	v, _ = m.Get("output")
	output, err := c.expr(v)
	if err != nil {
		return g, err
	}
	g.x = func(e *env) (parse.Value, error) {
		v, err := output(e)
		return keyed{keysOf(keys, e.doc), orNull(v)}, err
	}
	order := func(a, b keyed) int { return compareKeys(keys, a.keys, b.keys) }
	bottom := strings.HasPrefix(op, "$bottom")
	g.make = func() accumulator { return &ranked{n: n, order: order, single: single, last: bottom} }
	return g, nil
}

func (c *compiler) someOfGroup(op string, arg parse.Value) (g gathering, err error) {
	m, _ := arg.(*parse.Map)
	if err := checkArguments(op, m, []string{"input", "n"}, nil); err != nil {
		return g, err
	}
	v, _ := m.Get("n")
	n, err := c.howMany(op, v)
	if err != nil {
		return g, err
	}
	v, _ = m.Get("input")
	input, err := c.expr(v)
	if err != nil {
		return g, err
	}
	var order func(a, b keyed) int // nil: as they come
	switch op {
	case "$maxN":
		order = func(a, b keyed) int { return compare(b.value, a.value) }
	case "$minN":
		order = func(a, b keyed) int { return compare(a.value, b.value) }
	}
	g.x = func(e *env) (parse.Value, error) {
		v, err := input(e)
		if order != nil && absent(v) {
			return missing{}, err
		}
		return keyed{value: orNull(v)}, err
	}
	g.make = func() accumulator { return &ranked{n: n, order: order, last: op == "$lastN"} }
	return g, nil
}

// ranked keeps the first n values in an order, or the last.
type ranked struct {
	n            int
	order        func(a, b keyed) int // nil: as they come
	single, last bool
	list         []keyed
	most         int // length that list has had
}

func (k *ranked) add(b *budget, v parse.Value) error {
	x, ok := v.(keyed)
	if !ok {
		return nil
	}
	switch {
	case k.order == nil && !k.last && len(k.list) == k.n:
		return nil
	case len(k.list) >= 2*k.n+64:
		k.trim()
	}
	k.list = append(k.list, x)
	if len(k.list) > k.most {
		k.most = len(k.list)
		return b.grow(x.value)
	}
	return nil
}

func (k *ranked) trim() {
	if k.order != nil {
		slices.SortStableFunc(k.list, k.order)
	}
	if len(k.list) > k.n {
		if k.last {
			k.list = slices.Delete(k.list, 0, len(k.list)-k.n)
		} else {
			k.list = k.list[:k.n]
		}
	}
}

func (k *ranked) result() parse.Value {
	k.trim()
	if k.single {
		if len(k.list) == 0 {
			return nil
		}
		return k.list[0].value
	}
	out := make(parse.Array, len(k.list))
	for i := range k.list {
		out[i] = k.list[i].value
	}
	return out
}

// quantiles is $percentile or, single, $median.
type quantiles struct {
	p          []float64
	single     bool
	continuous bool
	list       []float64
}

func (c *compiler) quantilesOf(op string, arg parse.Value) (g gathering, err error) {
	m, _ := arg.(*parse.Map)
	required := []string{"input", "method"}
	if op == "$percentile" {
		required = append(required, "p")
	}
	if err := checkArguments(op, m, required, nil); err != nil {
		return g, err
	}
	method, _ := m.Get("method")
	p, _ := m.Get("p")
	q, err := newQuantiles(op, p, method)
	if err != nil {
		return g, err
	}
	v, _ := m.Get("input")
	g.x, err = c.expr(v)
	g.make = func() accumulator {
		one := *q
		return &one
	}
	return g, err
}

func newQuantiles(op string, p, method parse.Value) (*quantiles, error) {
	q := &quantiles{continuous: method == "continuous"}
	if method != "approximate" && method != "discrete" && !q.continuous {
		return nil, errorf("%s: 'method' must be approximate, discrete or continuous", op)
	}
	if op == "$median" {
		q.p, q.single = []float64{0.5}, true
		return q, nil
	}
	list, _ := p.(parse.Array)
	for _, e := range list {
		n, ok := number(e)
		if !ok || n < 0 || n > 1 {
			return nil, errorf("$percentile: 'p' must be an array of numbers from 0 to 1")
		}
		q.p = append(q.p, n)
	}
	if len(q.p) == 0 {
		return nil, errorf("$percentile: 'p' must be an array of numbers from 0 to 1")
	}
	return q, nil
}

func (q *quantiles) add(b *budget, v parse.Value) error {
	n, ok := number(v)
	if !ok || math.IsNaN(n) {
		return nil
	}
	q.list = append(q.list, n)
	if b == nil {
		return nil
	}
	return b.grow(v)
}

func (q *quantiles) result() parse.Value {
	slices.Sort(q.list)
	out := make(parse.Array, len(q.p))
	for i, p := range q.p {
		n := len(q.list)
		switch rank := p * float64(n-1); {
		case n == 0:
		case q.continuous:
			low := q.list[int(math.Floor(rank))]
			out[i] = low + (rank-math.Floor(rank))*(q.list[int(math.Ceil(rank))]-low)
		default:
			out[i] = q.list[max(0, int(math.Ceil(p*float64(n)))-1)]
		}
	}
	if q.single {
		return out[0]
	}
	return out
}

func median(_ *run, a arguments) (parse.Value, error) { return quantileOf("$median", a) }

func percentile(_ *run, a arguments) (parse.Value, error) { return quantileOf("$percentile", a) }

func quantileOf(op string, a arguments) (parse.Value, error) {
	if _, given := a["p"]; !given && op == "$percentile" {
		return nil, errorf("Missing 'p' parameter to $percentile")
	}
	q, err := newQuantiles(op, a["p"], a["method"])
	if err != nil {
		return nil, err
	}
	list, ok := a["input"].(parse.Array)
	if !ok {
		list = parse.Array{a["input"]}
	}
	for _, v := range list {
		if err := q.add(nil, v); err != nil {
			return nil, err
		}
	}
	return q.result(), nil
}
