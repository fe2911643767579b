package mongo

import (
	"context"
	"fmt"
	"math"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// updateAttempts bounds the optimistic loop. Each lost attempt means that
// somebody else's write went through.
const updateAttempts = 200

// exactInteger is the largest magnitude up to which integers and doubles add up alike.
const exactInteger = 1 << 53

// Update implements storage.Store.
func (d *DB) Update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	wanted, id := storage.Claims(u.Class, u.Ops), ""
	if len(wanted) > 0 {
		if id = storage.IDOf(u.Where); id == "" {
			wanted = nil
		}
	}
	err = d.alone(ctx, u.Class, id, wanted, func(ctx context.Context) (err error) {
		before, after, err = d.update(ctx, u)
		return err
	})
	return before, after, err
}

func (d *DB) update(ctx context.Context, u *storage.Update) (before, after *parse.Object, err error) {
	flt, err := newFilter(u.Class, u.Where)
	if err != nil {
		return nil, nil, err
	}
	if flt.never {
		return nil, nil, storage.ErrNotFound
	}
	for path := range u.Ops.All() {
		if err := checkPath(path); err != nil {
			return nil, nil, err
		}
	}
	if flt.matcher == nil {
		doc, guards, ok, err := directUpdate(u)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			before, err := d.findAndModify(ctx, u.Class, and(append(guards, cond{doc: flt.doc})).doc, doc)
			switch {
			case err == nil:
				after, err := applied(u, before)
				return before, after, err
			case hasCode(err, codeBadValue, codeTypeMismatch, codePathNotViable, codeConflictingPaths):
				// The operators do not fit what is stored, a null for example;
				// the loop finds out whether the operations do.
			case !isNone(err):
				return nil, nil, d.failure(ctx, "update", u.Class.Name, err)
			case len(guards) == 0:
				return nil, nil, storage.ErrNotFound
			}
		}
	}
	return d.updateLoop(ctx, u, flt)
}

func (d *DB) findAndModify(ctx context.Context, class *schema.Class, where, update []byte) (*parse.Object, error) {
	opts := options.FindOneAndUpdate().SetReturnDocument(options.Before)
	raw, err := d.collection(class.Name).FindOneAndUpdate(ctx, where, update, opts).Raw()
	if err != nil {
		return nil, err
	}
	return decodeObject(class, raw)
}

// applied returns what an update makes of an object.
func applied(u *storage.Update, before *parse.Object) (*parse.Object, error) {
	after := before.Clone()
	if err := parse.ApplyOps(after, u.Ops); err != nil {
		return nil, err
	}
	for path, v := range u.Ops.All() {
		if v == nil && nullIsMissing(u.Class, path) {
			after.Fields.Delete(path)
		}
	}
	if u.UpdatedAt != 0 && !undated(u.Class.Name) {
		after.UpdatedAt = u.UpdatedAt
	}
	if u.SetACL {
		after.ACL = u.ACL.Clone()
	}
	return after, nil
}

// checkPath refuses paths that MongoDB would not take for a field.
func checkPath(path string) error {
	for segment := range strings.SplitSeq(path, ".") {
		if segment == "" || segment[0] == '$' || strings.IndexByte(segment, 0) >= 0 {
			return parse.Errorf(parse.InvalidKeyName, "Invalid key name: %s", path)
		}
	}
	return nil
}

// section collects the fields of one update operator.
type section struct {
	op  string
	buf []byte
}

// updateDocument joins the sections that have fields.
func updateDocument(sections ...*section) []byte {
	n := 16
	for _, s := range sections {
		n += len(s.op) + len(s.buf) + 16
	}
	i, dst := bsoncore.AppendDocumentStart(make([]byte, 0, n))
	for _, s := range sections {
		if len(s.buf) == 0 {
			continue
		}
		var j int32
		j, dst = bsoncore.AppendDocumentElementStart(dst, s.op)
		dst = endDocument(append(dst, s.buf...), j)
	}
	return endDocument(dst, i)
}

// system adds the new updatedAt and ACL.
func system(e *encoder, u *storage.Update, set, unset *section) {
	if u.UpdatedAt != 0 && !undated(u.Class.Name) {
		set.buf = bsoncore.AppendDateTimeElement(set.buf, keyUpdatedAt, int64(u.UpdatedAt))
	}
	switch {
	case !u.SetACL:
	case u.ACL != nil:
		set.buf = e.acl(set.buf, u.ACL)
	default:
		for _, key := range [...]string{keyReadPerm, keyWritePerm, keyACL} {
			unset.buf = bsoncore.AppendStringElement(unset.buf, key, "")
		}
	}
}

// directUpdate translates an update into operators, if there are some that
// mean exactly the same; guards are what must hold of the object for that.
func directUpdate(u *storage.Update) (doc []byte, guards []cond, ok bool, err error) {
	var e encoder
	set, unset, inc := section{op: "$set"}, section{op: "$unset"}, section{op: "$inc"}
	push, addToSet, pull := section{op: "$push"}, section{op: "$addToSet"}, section{op: "$pullAll"}
	system(&e, u, &set, &unset)
	whole := map[string]bool{} // by root: is the field itself, not a path into it, written?
	for path, v := range u.Ops.All() {
		switch v.(type) {
		case parse.AddRelation, parse.RemoveRelation, parse.Batch, parse.Relation:
			continue
		}
		root, rest, dotted := strings.Cut(path, ".")
		if other, seen := whole[root]; seen && (other || !dotted) {
			return nil, nil, false, nil
		}
		whole[root] = !dotted
		if isAuthData(u.Class, root) || dotted && !directPath(u.Class, root, rest) {
			return nil, nil, false, nil
		}
		key := storedName(root)
		if dotted {
			key += "." + rest
		}
		switch v := v.(type) {
		case parse.Increment:
			if math.Abs(v.Amount) >= exactInteger {
				return nil, nil, false, nil
			}
			inc.buf = number(inc.buf, key, v.Amount)
		case parse.Add:
			if len(v.Objects) == 0 {
				return nil, nil, false, nil
			}
			push.buf = e.each(push.buf, key, v.Objects)
		case parse.AddUnique:
			if len(v.Objects) == 0 || !exactElements(v.Objects) {
				return nil, nil, false, nil
			}
			addToSet.buf = e.each(addToSet.buf, key, v.Objects)
		case parse.Remove:
			if dotted || !exactElements(v.Objects) {
				return nil, nil, false, nil
			}
			pull.buf = e.inner(pull.buf, key, v.Objects, 1)
			guards = append(guards, isArray(key))
		case parse.Delete:
			unset.buf = unsetField(unset.buf, u.Class, path)
		case parse.Op:
			return nil, nil, false, nil
		default:
			if dotted {
				set.buf = e.inner(set.buf, key, v, 2)
				continue
			}
			set.buf = setWhole(&e, set.buf, &unset, u.Class, root, v)
		}
	}
	return updateDocument(&set, &unset, &inc, &push, &addToSet, &pull), guards, true, e.err
}

// setWhole sets a field, and unsets the other key under which a field that the
// schema does not know may be stored.
func setWhole(e *encoder, dst []byte, unset *section, class *schema.Class, field string, v parse.Value) []byte {
	if v == nil && nullIsMissing(class, field) {
		unset.buf = unsetField(unset.buf, class, field)
		return dst
	}
	if t := resolve(class, field); t.maybePointer || t.nullKey != "" {
		other := prefixPointer + field
		if v != nil && pointerStored(class, field, v) {
			other = field
		}
		unset.buf = bsoncore.AppendStringElement(unset.buf, other, "")
	}
	return e.field(dst, class, field, v)
}

// unsetField unsets a field or a path.
func unsetField(dst []byte, class *schema.Class, path string) []byte {
	t := resolve(class, path)
	dst = bsoncore.AppendStringElement(dst, t.key, "")
	if t.maybePointer {
		dst = bsoncore.AppendStringElement(dst, prefixPointer+t.key, "")
	}
	if t.nullKey != "" {
		dst = bsoncore.AppendStringElement(dst, t.nullKey, "")
	}
	return dst
}

// directPath reports whether MongoDB follows the path in an update as Parse
// does: one level into an object. Deeper there may be arrays, and values that
// are objects to MongoDB alone.
func directPath(class *schema.Class, root, rest string) bool {
	return fieldType(class, root) == schema.Object && !strings.Contains(rest, ".") && !hasIndex(rest)
}

// exactElements reports whether MongoDB finds the elements of an array equal
// exactly when Parse does.
func exactElements(a parse.Array) bool {
	for _, v := range a {
		switch v.(type) {
		case bool, float64, parse.Int, string, parse.Date, parse.Bytes:
		default:
			// Of pointers, an included object may stand in the array.
			return false
		}
	}
	return true
}

// isArray holds for objects with an array at key.
func isArray(key string) cond {
	return single(key, func(dst []byte, key string) []byte {
		return operator(dst, key, "$type", func(dst []byte, op string) []byte {
			return bsoncore.AppendStringElement(dst, op, "array")
		})
	})
}

// each appends key: {$each: values}.
func (e *encoder) each(dst []byte, key string, values parse.Array) []byte {
	return operator(dst, key, "$each", func(dst []byte, op string) []byte { return e.inner(dst, op, values, 2) })
}

// updateLoop reads the object, computes what becomes of it, and writes on
// condition that nothing that this depends on has changed meanwhile.
func (d *DB) updateLoop(ctx context.Context, u *storage.Update, flt *filter) (before, after *parse.Object, err error) {
	for range updateAttempts {
		raw, before, err := d.candidate(ctx, u.Class, flt)
		if err != nil {
			return nil, nil, err
		}
		after, err := applied(u, before)
		if err != nil {
			return nil, nil, err
		}
		doc, guard, err := rewrite(u, flt, raw, before, after)
		if err != nil {
			return nil, nil, err
		}
		before, err = d.findAndModify(ctx, u.Class, guard, doc)
		if err == nil {
			after, err := applied(u, before)
			return before, after, err
		}
		if !isNone(err) {
			return nil, nil, d.failure(ctx, "update", u.Class.Name, err)
		}
	}
	return nil, nil, fmt.Errorf("update %s: the object changed %d times while it was being updated", u.Class.Name, updateAttempts)
}

// candidate returns the object that the filter means, as stored and as read.
func (d *DB) candidate(ctx context.Context, class *schema.Class, flt *filter) (raw []byte, o *parse.Object, err error) {
	cur, err := d.collection(class.Name).Find(ctx, flt.doc)
	if err != nil {
		return nil, nil, d.failure(ctx, "update", class.Name, err)
	}
	defer func() {
		if cerr := closeCursor(ctx, cur); err == nil && cerr != nil {
			err = d.failure(ctx, "update", class.Name, cerr)
		}
	}()
	for cur.Next(ctx) {
		o, err := decodeObject(class, cur.Current)
		if err != nil {
			return nil, nil, err
		}
		if flt.match(o) {
			return append([]byte(nil), cur.Current...), o, nil
		}
	}
	if err := cur.Err(); err != nil {
		return nil, nil, d.failure(ctx, "update", class.Name, err)
	}
	return nil, nil, storage.ErrNotFound
}

// rewrite returns the update that turns before into after, and the filter that
// holds for the object only as long as it is like before in all that matters.
func rewrite(u *storage.Update, flt *filter, raw []byte, before, after *parse.Object) (doc, guard []byte, err error) {
	var e encoder
	set, unset := section{op: "$set"}, section{op: "$unset"}
	system(&e, u, &set, &unset)
	keys := []string{keyID, keyUpdatedAt}
	roots := map[string]bool{}
	for path := range u.Ops.All() {
		root := query.Path(path).Root()
		if roots[root] {
			continue
		}
		roots[root] = true
		v, ok := after.Fields.Get(root)
		if isAuthData(u.Class, root) {
			keys = append(keys, rewriteAuth(&e, &set, &unset, before, v)...)
			continue
		}
		if ok {
			set.buf = setWhole(&e, set.buf, &unset, u.Class, root, v)
		} else {
			unset.buf = unsetField(unset.buf, u.Class, root)
		}
		keys = append(keys, storedKeys(u.Class, root)...)
	}
	conds := []cond{{doc: flt.doc}}
	if flt.matcher != nil {
		for _, root := range query.Roots(u.Where) {
			if !roots[root] {
				keys = append(keys, storedKeys(u.Class, root)...)
			}
		}
		keys = append(keys, keyReadPerm, keyWritePerm)
	}
	for _, key := range keys {
		conds = append(conds, unchanged(raw, key))
	}
	return updateDocument(&set, &unset), and(conds).doc, e.err
}

// storedKeys returns all keys under which a field may be stored.
func storedKeys(class *schema.Class, field string) []string {
	t := resolve(class, field)
	if t.maybePointer {
		return []string{t.key, prefixPointer + t.key}
	}
	if t.nullKey != "" {
		return []string{t.key, t.nullKey}
	}
	return []string{t.key}
}

// rewriteAuth sets the auth providers of v and unsets the others; it returns
// the keys concerned.
func rewriteAuth(e *encoder, set, unset *section, before *parse.Object, v parse.Value) (keys []string) {
	old, _ := before.Fields.Get(authData)
	now, _ := v.(*parse.Map)
	if m, ok := old.(*parse.Map); ok {
		for provider := range m.All() {
			keys = append(keys, prefixAuth+provider)
			if data, ok := now.Get(provider); !ok || data == nil {
				unset.buf = bsoncore.AppendStringElement(unset.buf, prefixAuth+provider, "")
			}
		}
	}
	for provider, data := range now.All() {
		key := e.key(prefixAuth + provider)
		if data != nil {
			set.buf = e.inner(set.buf, key, data, 1)
			keys = append(keys, key)
		}
	}
	return keys
}

// unchanged holds as long as the document has at key what raw has.
func unchanged(raw []byte, key string) cond {
	w := walk(raw)
	var el element
	for w.next(&el) {
		if string(el.key) != key {
			continue
		}
		if el.typ == bsoncore.TypeNull {
			return single(key, func(dst []byte, key string) []byte {
				return operator(dst, key, "$type", func(dst []byte, op string) []byte {
					return bsoncore.AppendStringElement(dst, op, "null")
				})
			})
		}
		return single(key, func(dst []byte, key string) []byte {
			return operator(dst, key, "$eq", func(dst []byte, op string) []byte {
				return append(bsoncore.AppendHeader(dst, el.typ, op), el.data...)
			})
		})
	}
	return single(key, func(dst []byte, key string) []byte {
		return operator(dst, key, "$exists", func(dst []byte, op string) []byte {
			return bsoncore.AppendBooleanElement(dst, op, false)
		})
	})
}
