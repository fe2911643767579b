package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pargo-baas/pargo/internal/storage/sqlgen"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// storedLimits are those of values that are in the database already.
var storedLimits = parse.Limits{Depth: 10_000, Keys: 1 << 30, Values: 1 << 30}

// earliest and latest are the Dates that a timestamp of PostgreSQL can hold.
const (
	earliest parse.Date = -210_866_803_200_000
	latest   parse.Date = 9_224_318_015_999_999
)

// epoch is the instant from which PostgreSQL counts, in milliseconds since 1970.
const epoch = 946_684_800_000

// unstorable is the error for a value that the database cannot hold.
func unstorable(field, why string) error {
	return parse.Errorf(parse.InvalidJSON, "%s: %s", field, why)
}

const whyNUL = `a text must not contain the character \u0000, which the database cannot store`

func checkText(field, s string) error {
	if sqlgen.HasNUL(s) {
		return unstorable(field, whyNUL)
	}
	return nil
}

// date returns a time as an argument; the zero Date stands for a missing one.
func date(d parse.Date) any {
	if d == 0 {
		return nil
	}
	return instant(d)
}

// instant is a Date as an argument, without the way through the calendar.
type instant parse.Date

// TimestamptzValue implements [pgtype.TimestamptzValuer].
func (i instant) TimestamptzValue() (pgtype.Timestamptz, error) {
	return pgtype.Timestamptz{Time: parse.Date(i).Time(), Valid: true}, nil
}

func checkDate(field string, d parse.Date) error {
	if d < earliest || d > latest {
		return unstorable(field, "the date is beyond what the database can store")
	}
	return nil
}

// nulEscape is how JSON writes the character that jsonb cannot hold.
var nulEscape = []byte(`\u0000`)

// hasNULEscape reports whether JSON has the character \u0000 in a text.
func hasNULEscape(text []byte) bool {
	for from := 0; ; {
		at := bytes.Index(text[from:], nulEscape)
		if at < 0 {
			return false
		}
		at += from
		slashes := 0
		for slashes < at && text[at-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return true
		}
		from = at + len(nulEscape)
	}
}

// jsonOf returns a value as an argument for jsonb.
func jsonOf(field string, v parse.Value) (any, error) {
	text := parse.AppendJSON(make([]byte, 0, 128), v)
	if hasNULEscape(text) {
		return nil, unstorable(field, whyNUL)
	}
	return string(text), nil
}

// encode returns a value of a field as the argument for its column; nil for
// NULL. Null is what PostgreSQL has for a missing value, and the other way round.
func (c *column) encode(v parse.Value) (any, error) {
	if v == nil {
		return nil, nil
	}
	if c.typ == schema.Object || c.typ == schema.Array || c.typ == schema.Bytes {
		return jsonOf(c.field, v)
	}
	switch v := v.(type) {
	case string:
		if c.typ == schema.String {
			return v, checkText(c.field, v)
		}
	case float64:
		if c.typ == schema.Number {
			return v, nil
		}
	case parse.Int:
		if c.typ == schema.Number {
			return float64(v), nil // as it is for Parse Server, whose numbers are doubles
		}
	case bool:
		if c.typ == schema.Boolean {
			return v, nil
		}
	case parse.Date:
		if c.typ == schema.Date {
			return instant(v), checkDate(c.field, v)
		}
	case parse.Pointer:
		if c.typ == schema.Pointer {
			return v.ObjectID, checkText(c.field, v.ObjectID)
		}
	case *parse.Object:
		if c.typ == schema.Pointer {
			return v.ID, checkText(c.field, v.ID)
		}
	case parse.File:
		if c.typ == schema.File {
			return v.Name, checkText(c.field, v.Name)
		}
	case parse.GeoPoint:
		if c.typ == schema.GeoPoint {
			return pgtype.Point{P: pgtype.Vec2{X: v.Longitude, Y: v.Latitude}, Valid: true}, nil
		}
	case *parse.Polygon:
		if c.typ == schema.Polygon {
			p := pgtype.Polygon{P: make([]pgtype.Vec2, len(v.Points)), Valid: true}
			for i, pt := range v.Points {
				p.P[i] = pgtype.Vec2{X: pt.Longitude, Y: pt.Latitude}
			}
			return p, nil
		}
	}
	return nil, parse.Errorf(parse.IncorrectType, "a value of another type than %s cannot be stored in %s", c.typ, c.field)
}

// scalar returns an operand as its column compares it; ok is false if the
// value is of another type, which no stored value of the field equals.
func (c *column) scalar(v parse.Value) (out any, ok bool) {
	switch v := v.(type) {
	case string:
		return v, c.typ == schema.String && !sqlgen.HasNUL(v)
	case float64:
		return v, c.typ == schema.Number && !math.IsNaN(v)
	case parse.Int:
		return float64(v), c.typ == schema.Number
	case bool:
		return v, c.typ == schema.Boolean
	case parse.Date:
		return instant(v), c.typ == schema.Date && checkDate("", v) == nil
	case parse.Pointer:
		return v.ObjectID, c.typ == schema.Pointer && v.ClassName == c.target && !sqlgen.HasNUL(v.ObjectID)
	case *parse.Object:
		return v.ID, c.typ == schema.Pointer && v.ClassName == c.target && !sqlgen.HasNUL(v.ID)
	}
	return nil, false
}

// subjects returns who has a right, as the text of a text[]; nil without an ACL.
func subjects(acl *parse.ACL, write bool) any {
	if acl == nil {
		return nil
	}
	b := append(make([]byte, 0, 64), '{')
	for _, e := range acl.Entries() {
		if write && !e.Write || !write && !e.Read {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for i := range len(e.Subject) {
			if c := e.Subject[i]; c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, e.Subject[i])
		}
		b = append(b, '"')
	}
	return string(append(b, '}'))
}

// binaryFormat is the code of values in binary.
const binaryFormat = 1

// decode reads a value of a column; ok is false for one that is not there.
func (c *column) decode(raw []byte, format int16) (v parse.Value, ok bool, err error) {
	if raw == nil {
		return nil, false, nil
	}
	switch c.typ {
	case schema.String:
		return string(raw), true, nil
	case schema.Pointer:
		return parse.Pointer{ClassName: c.target, ObjectID: string(raw)}, true, nil
	case schema.File:
		return parse.File{Name: string(raw)}, true, nil
	case schema.Number:
		f, err := float(raw)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0), err
	case schema.Boolean:
		return len(raw) == 1 && raw[0] != 0, true, nil
	case schema.Date:
		d, err := readDate(raw)
		return d, err == nil, err
	case schema.Object, schema.Array, schema.Bytes:
		if format == binaryFormat && len(raw) > 0 {
			raw = raw[1:] // the version of the format
		}
		v, err := parse.Decode(raw, storedLimits)
		return v, err == nil && v != nil, err
	case schema.GeoPoint:
		if len(raw) != 16 {
			return nil, false, errMalformed
		}
		return point(raw), true, nil
	case schema.Polygon:
		return readPolygon(raw)
	case schema.Relation, schema.ACL:
	}
	return nil, false, nil
}

var errMalformed = fmt.Errorf("malformed value of the database")

func float(raw []byte) (float64, error) {
	if len(raw) != 8 {
		return 0, errMalformed
	}
	return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
}

// readDate reads a timestamp; the ends of time are those of what can be shown.
func readDate(raw []byte) (parse.Date, error) {
	if len(raw) != 8 {
		return 0, errMalformed
	}
	micros := int64(binary.BigEndian.Uint64(raw))
	switch micros {
	case math.MinInt64:
		return earliest, nil
	case math.MaxInt64:
		return latest, nil
	}
	ms := micros / 1000
	if micros%1000 < 0 {
		ms--
	}
	return parse.Date(ms + epoch), nil
}

// point reads the sixteen bytes of a point, whose longitude comes first.
func point(raw []byte) parse.GeoPoint {
	return parse.GeoPoint{
		Longitude: math.Float64frombits(binary.BigEndian.Uint64(raw)),
		Latitude:  math.Float64frombits(binary.BigEndian.Uint64(raw[8:])),
	}
}

func readPolygon(raw []byte) (parse.Value, bool, error) {
	if len(raw) < 4 {
		return nil, false, errMalformed
	}
	n := int(binary.BigEndian.Uint32(raw))
	if raw = raw[4:]; n < 0 || len(raw) != 16*n {
		return nil, false, errMalformed
	}
	p := &parse.Polygon{Points: make([]parse.GeoPoint, n)}
	for i := range p.Points {
		p.Points[i] = point(raw[16*i:])
	}
	return p, true, nil
}

// readTexts reads a text[]; nil for NULL.
func readTexts(raw []byte) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	if len(raw) < 12 {
		return nil, errMalformed
	}
	if binary.BigEndian.Uint32(raw) == 0 { // no dimensions: empty
		return []string{}, nil
	}
	if len(raw) < 20 {
		return nil, errMalformed
	}
	n := int(binary.BigEndian.Uint32(raw[12:]))
	raw = raw[20:]
	out := make([]string, 0, min(n, len(raw)/4))
	for range n {
		if len(raw) < 4 {
			return nil, errMalformed
		}
		size := int32(binary.BigEndian.Uint32(raw))
		raw = raw[4:]
		if size < 0 { // NULL is nobody
			continue
		}
		if int(size) > len(raw) {
			return nil, errMalformed
		}
		out = append(out, string(raw[:size]))
		raw = raw[size:]
	}
	return out, nil
}

// anyone is who may read where only the right to write is stored.
var anyone = []string{parse.Public}

// acl reads the two columns of permissions. NULL in one of them lets
// everybody, as Parse Server takes it.
func acl(read, write []byte) (*parse.ACL, error) {
	r, err := readTexts(read)
	if err != nil {
		return nil, err
	}
	w, err := readTexts(write)
	if err != nil || r == nil && w == nil {
		return nil, err
	}
	if r == nil {
		r = anyone
	}
	if w == nil {
		w = anyone
	}
	return parse.ACLFromSubjects(r, w), nil
}

// reader turns rows into objects.
type reader struct {
	t       *table
	columns []*column
	formats []int16
	// The permissions of the row before, which the next one often has too.
	read, write []byte
	acl         *parse.ACL
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// object reads one row; raw is valid for the time of the call alone.
func (r *reader) object(raw [][]byte) (*parse.Object, error) {
	o := &parse.Object{ClassName: r.t.class.Name, ID: string(raw[0])}
	at := 1
	if !r.t.bare {
		var err error
		if raw[1] != nil {
			if o.CreatedAt, err = readDate(raw[1]); err != nil {
				return nil, err
			}
		}
		if raw[2] != nil {
			if o.UpdatedAt, err = readDate(raw[2]); err != nil {
				return nil, err
			}
		}
		if raw[3] != nil || raw[4] != nil {
			if r.acl == nil || !same(r.read, raw[3]) || !same(r.write, raw[4]) {
				if r.acl, err = acl(raw[3], raw[4]); err != nil {
					return nil, err
				}
				r.read, r.write = bytes.Clone(raw[3]), bytes.Clone(raw[4])
			}
			o.ACL = r.acl
		}
		at = 5
	}
	there := 0
	for _, b := range raw[at : at+len(r.columns)] {
		if b != nil {
			there++
		}
	}
	o.Fields.Grow(there)
	for i, c := range r.columns {
		v, ok, err := c.decode(raw[at+i], r.formats[at+i])
		if err != nil {
			return nil, fmt.Errorf("stored object %s of class %s, field %s: %w", o.ID, r.t.class.Name, c.field, err)
		}
		if ok {
			o.Fields.Set(c.field, v)
		}
	}
	return o, nil
}

// row returns the arguments of an object for an INSERT.
func (t *table) row(o *parse.Object) ([]any, error) {
	row := make([]any, 0, 5+len(t.columns))
	if t.ownID {
		if err := checkText(parse.KeyObjectID, o.ID); err != nil {
			return nil, err
		}
		row = append(row, o.ID)
	}
	if !t.bare {
		if err := checkACL(o.ACL); err != nil {
			return nil, err
		}
		row = append(row, date(o.CreatedAt), date(o.UpdatedAt), subjects(o.ACL, false), subjects(o.ACL, true))
	}
	set := 0
	for i := range t.columns {
		v, there := o.Fields.Get(t.columns[i].field)
		if there {
			set++
		}
		x, err := t.columns[i].encode(v)
		if err != nil {
			return nil, err
		}
		row = append(row, x)
	}
	if set == o.Fields.Len() {
		return row, nil
	}
	return row, t.unknown(&o.Fields)
}

// unknown returns an error for a value that has no column; a missing or null
// one needs none, nor does a relation.
func (t *table) unknown(fields *parse.Map) error {
	for name, v := range fields.All() {
		if _, relation := v.(parse.Relation); relation || v == nil || t.byField[name] != nil {
			continue
		}
		if strings.HasPrefix(name, "_") { // of internal fields, tables have those of Parse Server
			return parse.Errorf(parse.InvalidKeyName, "Invalid field name: %s.", name)
		}
		return fmt.Errorf("class %s has no column for %s", t.class.Name, name)
	}
	return nil
}

func checkACL(acl *parse.ACL) error {
	if acl == nil {
		return nil
	}
	for _, e := range acl.Entries() {
		if err := checkText(parse.KeyACL, e.Subject); err != nil {
			return err
		}
	}
	return nil
}

// stored makes an object what reading it would give: without nulls, numbers as
// doubles, pointers of what was included.
func (t *table) stored(o *parse.Object) {
	for i := range t.columns {
		c := &t.columns[i]
		v, there := o.Fields.Get(c.field)
		if !there {
			continue
		}
		switch v := v.(type) {
		case nil:
			o.Fields.Delete(c.field)
		case parse.Int:
			if c.typ == schema.Number {
				o.Fields.Set(c.field, float64(v))
			}
		case *parse.Object:
			if c.typ == schema.Pointer {
				o.Fields.Set(c.field, v.Self())
			}
		}
	}
	for i := o.Fields.Len() - 1; i >= 0; i-- {
		if f := o.Fields.At(i); f.Value == nil || t.byField[f.Key] == nil {
			o.Fields.Delete(f.Key)
		}
	}
}

// literalPath writes a dotted path below a field as a literal of text[]; ok is
// false for names that would need escapes.
func literalPath(path string) (sql string, ok bool) {
	for part := range strings.SplitSeq(path, ".") {
		if part == "" || !plainName(part) {
			return "", false
		}
	}
	return "'{" + strings.ReplaceAll(path, ".", ",") + "}'", true
}

// plainName reports whether a name has letters, digits and _ - alone. NULL is
// a word of array literals.
func plainName(s string) bool {
	for i := range len(s) {
		ch := s[i]
		if ch != '_' && ch != '-' && (ch < '0' || ch > '9') && (ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z') {
			return false
		}
	}
	return !strings.EqualFold(s, "null")
}
