package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/xoptions"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// errMaxTime is why a context ends that Options.MaxTime bounds.
var errMaxTime = errors.New("maxTimeMS is over")

// DefaultPatternTime is that of Options.PatternTime.
const DefaultPatternTime = 10 * time.Second

// patternGrace is how much later the server ends what errPattern ends here, so
// that the reason is known.
const patternGrace = time.Second

// errPattern is why a context ends that Options.PatternTime bounds.
var errPattern = errors.New("the pattern takes too long")

// bound is that of Options.MaxTime, or of conditions with patterns, and why a
// context ends with it; 0: there is none.
func (d *DB) bound(where query.Node) (time.Duration, error) {
	if d.patternTime > 0 && (d.maxTime <= 0 || d.maxTime > d.patternTime) && query.HasPattern(where) {
		return d.patternTime, errPattern
	}
	return d.maxTime, errMaxTime
}

// bounded returns a context with the bound of a condition.
func (d *DB) bounded(ctx context.Context, where query.Node) (context.Context, context.CancelFunc) {
	most, why := d.bound(where)
	if most <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, most, why)
}

// Costly implements [storage.Judge].
func (*DB) Costly(where query.Node) bool { return query.CostlyPCRE(where) }

// serverBound is the bound of a condition as the server takes it, which then
// works no longer for a client that has given up. The driver sends it, of its
// own accord, with all commands but those that open cursors. 0: there is none.
func (d *DB) serverBound(where query.Node) int64 {
	most, why := d.bound(where)
	switch {
	case most <= 0:
		return 0
	case errors.Is(why, errPattern):
		most += patternGrace
	}
	return max(1, most.Milliseconds())
}

// boundFind and boundAggregate put the bound into commands that open cursors.
func (d *DB) boundFind(opts *options.FindOptionsBuilder, where query.Node) error {
	ms := d.serverBound(where)
	if ms == 0 {
		return nil
	}
	return xoptions.SetInternalFindOptions(opts, "addCommandFields", bson.D{{Key: keyMaxTime, Value: ms}})
}

func (d *DB) boundAggregate(opts *options.AggregateOptionsBuilder, where query.Node) {
	if ms := d.serverBound(where); ms > 0 {
		opts.SetCustom(bson.M{keyMaxTime: ms}) //nolint:staticcheck // of the fields that the driver leaves out, its only way
	}
}

const keyMaxTime = "maxTimeMS"

// reading returns a collection that reads where the advice says, else where the
// URI does; a transaction always reads from the primary.
func (d *DB) reading(ctx context.Context, class string, a *query.Advice) *mongo.Collection {
	switch {
	case mongo.SessionFromContext(ctx) != nil:
		return d.collection(class)
	case a == nil || a.Read == 0:
		return d.read.Collection(d.prefix + class)
	}
	return d.db.Collection(d.prefix+class, options.Collection().SetReadPreference(readPreference(a.Read)))
}

func readPreference(p query.ReadPreference) *readpref.ReadPref {
	switch p {
	case query.PrimaryPreferred:
		return readpref.PrimaryPreferred()
	case query.Secondary:
		return readpref.Secondary()
	case query.SecondaryPreferred:
		return readpref.SecondaryPreferred()
	case query.Nearest:
		return readpref.Nearest()
	case query.Primary:
	}
	return readpref.Primary()
}

// advise hands hint and comment on to the database.
func advise(opts *options.FindOptionsBuilder, class *schema.Class, a *query.Advice) {
	if h := hintOf(class, a); h != nil {
		opts.SetHint(h)
	}
	if a.Comment != "" {
		opts.SetComment(a.Comment)
	}
}

// hintOf is a hint as the database takes it: a name or keys, which may be
// given by their names in the protocol or in storage; nil without one.
func hintOf(class *schema.Class, a *query.Advice) any {
	if a.HintKeys == nil {
		if a.Hint == "" {
			return nil
		}
		return a.Hint
	}
	keys := make(bson.D, 0, a.HintKeys.Len())
	for name, v := range a.HintKeys.All() {
		if name != "" && name[0] != '_' {
			name = resolve(class, name).key
		}
		if f, ok := v.(float64); ok {
			v = int32(f)
		}
		keys = append(keys, bson.E{Key: name, Value: v})
	}
	return keys
}

// Explain implements storage.Explainer: the document is that of MongoDB, in
// relaxed Extended JSON.
func (d *DB) Explain(ctx context.Context, f *storage.Find, v query.Verbosity) (*parse.Map, error) {
	flt, err := newFilter(f.Class, f.Where)
	if err != nil {
		return nil, err
	}
	ctx, cancel := d.bounded(ctx, f.Where)
	defer cancel()
	find := bson.D{{Key: "find", Value: d.prefix + f.Class.Name}, {Key: "filter", Value: bson.Raw(flt.doc)}}
	add := func(key string, v any) { find = append(find, bson.E{Key: key, Value: v}) }
	p := pageOf(f, flt)
	if p.sort != nil {
		add("sort", bson.Raw(p.sort))
	}
	if p.projection != nil {
		add("projection", bson.Raw(p.projection))
	}
	if p.skip > 0 {
		add("skip", p.skip)
	}
	if p.limit > 0 {
		add("limit", p.limit)
	}
	if a := f.Advice; a != nil {
		if h := hintOf(f.Class, a); h != nil {
			add("hint", h)
		}
		if a.Comment != "" {
			add("comment", a.Comment)
		}
	}
	m, err := d.explainCommand(ctx, find, f.Advice, v)
	return m, d.failure(ctx, "explain", f.Class.Name, err)
}

// explainCommand asks for the plan of a command.
func (d *DB) explainCommand(ctx context.Context, command bson.D, a *query.Advice, v query.Verbosity) (*parse.Map, error) {
	opts := options.RunCmd()
	if a != nil && a.Read != 0 {
		opts.SetReadPreference(readPreference(a.Read))
	}
	outline := v == query.Outline
	if outline {
		v = query.QueryPlanner
	}
	raw, err := d.db.RunCommand(ctx, bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: string(v)}}, opts).Raw()
	if err != nil {
		return nil, err
	}
	text, err := bson.MarshalExtJSON(raw, false, false)
	if err != nil {
		return nil, err
	}
	doc, err := parse.DecodeMap(text, parse.Limits{Depth: 1000, Keys: 1 << 20, Values: 1 << 30})
	if err == nil && outline {
		// MongoDB's planner gives no figures; FerretDB's is PostgreSQL's, with its costs.
		doc.Delete("serverInfo")
		v, _ := doc.Get("queryPlanner")
		if planner, ok := v.(*parse.Map); ok {
			planner.Delete("Plan")
		}
	}
	return doc, err
}
