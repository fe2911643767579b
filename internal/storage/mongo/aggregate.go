package mongo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// Aggregate implements storage.Aggregator. The documents are those of the
// database, which has them in the form that stages mean. What the database
// refuses is left to the caller, whose errors are then those that clients see:
// servers differ in what they can do and in what they call it.
func (d *DB) Aggregate(ctx context.Context, a *storage.Aggregate, emit func(*parse.Map) error) (done int, err error) {
	pipeline, done, err := pipelineOf(a)
	if err != nil {
		return 0, err
	}
	ctx, cancel := d.bounded(ctx, a.Where)
	defer cancel()
	opts := options.Aggregate().SetBatchSize(batchSize).SetAllowDiskUse(true)
	d.boundAggregate(opts, a.Where)
	if a.Advice != nil {
		if h := hintOf(a.Class, a.Advice); h != nil {
			opts.SetHint(h)
		}
		if a.Advice.Comment != "" {
			opts.SetComment(a.Advice.Comment)
		}
	}
	var failed error // of emit
	counts := done > 0 && a.Stages[done-1].Name == "$count"
	err = d.eachDocument(ctx, a, pipeline, opts, func(doc []byte) error {
		m, err := plainDocument(doc, 0)
		if err == nil && !(counts && m.Len() == 1 && m.At(0).Value == 0.0) { // MongoDB counts nothing in no document
			failed = emit(m)
			err = failed
		}
		return err
	})
	switch {
	case failed != nil:
		return 0, failed
	case refused(ctx, err):
		return 0, fmt.Errorf("%w: %w", storage.ErrNotPushed, err)
	}
	return done, d.failure(ctx, "aggregate", a.Class.Name, err)
}

func (d *DB) eachDocument(ctx context.Context, a *storage.Aggregate, pipeline bson.A, opts *options.AggregateOptionsBuilder, fn func(doc []byte) error) (err error) {
	cur, err := d.reading(ctx, a.Class.Name, a.Advice).Aggregate(ctx, pipeline, opts)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := closeCursor(ctx, cur); err == nil {
			err = cerr
		}
	}()
	for cur.Next(ctx) {
		if err := fn(cur.Current); err != nil {
			return err
		}
	}
	return cur.Err()
}

// refused reports whether the server answered that it cannot do what it was
// asked, rather than not in time or not at all.
func refused(ctx context.Context, err error) bool {
	var s mongo.ServerError
	return errors.As(err, &s) && ctx.Err() == nil && !hasCode(err, codeMaxTimeExpired) &&
		!mongo.IsNetworkError(err) && !mongo.IsTimeout(err)
}

// ExplainAggregate implements storage.Aggregator.
func (d *DB) ExplainAggregate(ctx context.Context, a *storage.Aggregate, v query.Verbosity) (*parse.Map, int, error) {
	pipeline, done, err := pipelineOf(a)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := d.bounded(ctx, a.Where)
	defer cancel()
	command := bson.D{{Key: "aggregate", Value: d.prefix + a.Class.Name}, {Key: "pipeline", Value: pipeline}, {Key: "cursor", Value: bson.D{}}}
	if a.Advice != nil {
		if h := hintOf(a.Class, a.Advice); h != nil {
			command = append(command, bson.E{Key: "hint", Value: h})
		}
		if a.Advice.Comment != "" {
			command = append(command, bson.E{Key: "comment", Value: a.Advice.Comment})
		}
	}
	m, err := d.explainCommand(ctx, command, a.Advice, v)
	if refused(ctx, err) {
		return nil, 0, fmt.Errorf("%w: %w", storage.ErrNotPushed, err)
	}
	return m, done, d.failure(ctx, "explain", a.Class.Name, err)
}

// pipelineOf writes the pipeline for the database and tells how many of the
// stages it has.
func pipelineOf(a *storage.Aggregate) (pipeline bson.A, done int, err error) {
	flt, err := newFilter(a.Class, a.Where)
	if err != nil {
		return nil, 0, err
	}
	if flt.matcher != nil || flt.never {
		return nil, 0, storage.ErrNotPushed
	}
	if len(flt.doc) > len(emptyDocument) {
		pipeline = append(pipeline, bson.D{{Key: "$match", Value: bson.Raw(flt.doc)}})
	}
	pipeline = append(pipeline, bson.D{{Key: "$project", Value: visible(a.Fields)}})
	var e encoder
	shaped := false // documents have another shape than they are stored in
	for _, s := range a.Stages {
		if !stageIsPlain(s.Name, s.Arg) {
			break
		}
		switch s.Name {
		case "$project", "$addFields", "$set", "$unset", "$replaceRoot", "$replaceWith":
			// Some servers join such stages, and not as if one came after the other.
			if shaped {
				return pipeline, done, nil
			}
			shaped = true
		case "$sort":
			// Where arrays stand among other values servers do not agree.
			if m, _ := s.Arg.(*parse.Map); shaped || !sortsScalars(a.Class, m) {
				return pipeline, done, nil
			}
		}
		i, doc := bsoncore.AppendDocumentStart(nil)
		doc = endDocument(e.inner(doc, s.Name, nullIDs(s), 1), i)
		if e.err != nil {
			break // too deep for the database
		}
		pipeline = append(pipeline, bson.Raw(doc))
		done++
		if s.Name == "$count" || s.Name == "$group" || s.Name == "$sortByCount" {
			break // few documents are left
		}
	}
	return pipeline, done, nil
}

// nullIDs makes missing ids of groups null, which MongoDB does by itself and
// other servers do not in all cases.
func nullIDs(s storage.Stage) parse.Value {
	orNull := func(v parse.Value) parse.Value {
		m, isMap := v.(*parse.Map)
		text, _ := v.(string)
		if isMap && m.Len() > 0 && strings.HasPrefix(m.At(0).Key, "$") || strings.HasPrefix(text, "$") {
			return parse.NewMap(parse.MapField{Key: "$ifNull", Value: parse.Array{v, nil}})
		}
		return v
	}
	switch s.Name {
	case "$sortByCount":
		return orNull(s.Arg)
	case "$group":
		m, _ := s.Arg.(*parse.Map)
		m = m.Clone()
		id, _ := m.Get(keyID)
		m.Set(keyID, orNull(id))
		return m
	}
	return s.Arg
}

// visible is the projection to the fields that stages may see.
func visible(fields []string) bson.D {
	if fields == nil {
		return bson.D{{Key: keyACL, Value: int32(0)}}
	}
	out := bson.D{{Key: keyID, Value: int32(1)}}
	for _, f := range fields {
		if f != keyID && f != keyACL {
			out = append(out, bson.E{Key: f, Value: int32(1)})
		}
	}
	return out
}

// plainDocument reads a document as it is stored, without Parse's types.
func plainDocument(doc []byte, depth int) (*parse.Map, error) {
	m := &parse.Map{}
	w := walk(doc)
	var el element
	for w.next(&el) {
		v, err := plainValue(el.typ, el.data, depth+1)
		if err != nil {
			return nil, err
		}
		m.Set(string(el.key), v)
	}
	return m, w.err
}

func plainValue(typ bsoncore.Type, data []byte, depth int) (parse.Value, error) {
	if depth > 2*maxNesting {
		return nil, fmt.Errorf("%w: nested too deep", errMalformed)
	}
	switch typ {
	case bsoncore.TypeEmbeddedDocument:
		return plainDocument(data, depth)
	case bsoncore.TypeArray:
		a := parse.Array{}
		w := walk(data)
		var el element
		for w.next(&el) {
			v, err := plainValue(el.typ, el.data, depth+1)
			if err != nil {
				return nil, err
			}
			a = append(a, v)
		}
		return a, w.err
	case bsoncore.TypeTimestamp:
		return parse.Date(int64(binary.LittleEndian.Uint32(data[4:])) * 1000), nil
	default:
		return value(typ, data, depth)
	}
}

// Words of the stages and expressions that mean on every server what they mean
// in package aggregate; a property test compares them. The rest is not worth
// the difference: what it has to do, it does with what these leave over.
var (
	plainFilters = words(`$eq $ne $gt $gte $lt $lte $in $nin $exists $and $or $nor $not $size $all $elemMatch $mod`)

	plainAccumulators = words(`$sum $avg $min $max $count`)

	plainExpressions = words(`$add $subtract $multiply $divide $mod $abs $ceil $floor
		$eq $ne $gt $gte $lt $lte $cmp $and $or $not $cond $ifNull $switch
		$concat $toLower $toUpper $strLenCP $size $arrayElemAt $slice $in $concatArrays $isArray $filter $map $reduce
		$year $month $dayOfMonth $hour $minute $second $millisecond $dayOfWeek $dayOfYear $mergeObjects`)
)

func words(s string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		out[w] = true
	}
	return out
}

// stageIsPlain reports whether the database may run a stage.
func stageIsPlain(name string, arg parse.Value) bool {
	m, _ := arg.(*parse.Map)
	switch name {
	case "$match":
		return filterIsPlain(m)
	case "$project", "$addFields", "$set":
		return assignmentsArePlain(m)
	case "$group":
		for k, v := range m.All() {
			if k == keyID {
				// In an id of several fields missing is not null, but not on all servers.
				inner, isMap := v.(*parse.Map)
				if !exprIsPlain(v) || isMap && (inner.Len() == 0 || !strings.HasPrefix(inner.At(0).Key, "$")) {
					return false
				}
				continue
			}
			acc, _ := v.(*parse.Map)
			if acc.Len() != 1 || !plainAccumulators[acc.At(0).Key] || !exprIsPlain(acc.At(0).Value) {
				return false
			}
		}
		return m.Len() > 0
	case "$replaceRoot":
		v, _ := m.Get("newRoot")
		return exprIsPlain(v)
	case "$replaceWith", "$sortByCount":
		return exprIsPlain(arg)
	case "$sort", "$limit", "$skip", "$unwind", "$count", "$unset":
		return true
	}
	return false
}

// sortsScalars reports whether an order is by fields that hold neither arrays
// nor objects.
func sortsScalars(class *schema.Class, m *parse.Map) bool {
	for k := range m.All() {
		switch k {
		case keyID, keyCreatedAt, keyUpdatedAt:
			continue
		}
		field, isPointer := strings.CutPrefix(k, prefixPointer)
		switch typ := fieldType(class, field); typ {
		case schema.String, schema.Number, schema.Boolean, schema.Date, schema.Pointer:
			if isPointer != (typ == schema.Pointer) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// assignmentsArePlain looks at the values of $project and $addFields, where
// objects go deeper.
func assignmentsArePlain(m *parse.Map) bool {
	for _, v := range m.All() {
		inner, ok := v.(*parse.Map)
		if ok && inner.Len() > 0 && !strings.HasPrefix(inner.At(0).Key, "$") {
			if !assignmentsArePlain(inner) {
				return false
			}
			continue
		}
		if !exprIsPlain(v) {
			return false
		}
	}
	return m.Len() > 0
}

func exprIsPlain(v parse.Value) bool {
	switch v := v.(type) {
	case string:
		name, ok := strings.CutPrefix(v, "$$")
		name, _, _ = strings.Cut(name, ".")
		return !ok || name == "ROOT" || name == "CURRENT" || name[:min(1, len(name))] >= "a"
	case parse.Array:
		for _, e := range v {
			if !exprIsPlain(e) {
				return false
			}
		}
	case *parse.Map:
		for k, e := range v.All() {
			if k == "$literal" {
				continue
			}
			if strings.HasPrefix(k, "$") && !plainExpressions[k] || !exprIsPlain(e) {
				return false
			}
		}
	case parse.Bytes:
		return false
	}
	return true
}

func filterIsPlain(m *parse.Map) bool {
	for k, v := range m.All() {
		if strings.HasPrefix(k, "$") && !plainFilters[k] {
			return false
		}
		if !operandIsPlain(v) {
			return false
		}
	}
	return true
}

func operandIsPlain(v parse.Value) bool {
	switch v := v.(type) {
	case *parse.Map:
		return filterIsPlain(v)
	case parse.Array:
		for _, e := range v {
			if !operandIsPlain(e) {
				return false
			}
		}
	}
	return true
}

var _ storage.Aggregator = (*DB)(nil)
