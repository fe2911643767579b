package mongo

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
)

// testClass has one field of each type, named after it.
func testClass(name string) *schema.Class {
	c := &schema.Class{Name: name, Fields: map[string]*schema.Field{}}
	add := func(field string, t schema.Type, target string) {
		c.Fields[field] = &schema.Field{Name: field, Type: t, TargetClass: target}
	}
	add("objectId", schema.String, "")
	add("createdAt", schema.Date, "")
	add("updatedAt", schema.Date, "")
	add("ACL", schema.ACL, "")
	add("str", schema.String, "")
	add("num", schema.Number, "")
	add("flag", schema.Boolean, "")
	add("when", schema.Date, "")
	add("obj", schema.Object, "")
	add("arr", schema.Array, "")
	add("geo", schema.GeoPoint, "")
	add("file", schema.File, "")
	add("bytes", schema.Bytes, "")
	add("poly", schema.Polygon, "")
	add("ptr", schema.Pointer, "Foo")
	add("fans", schema.Relation, "Foo")
	return c
}

func objectOf(class string, fields ...parse.MapField) *parse.Object {
	return &parse.Object{ClassName: class, ID: "id1", CreatedAt: 1577836800000, UpdatedAt: 1577836800000, Fields: *parse.NewMap(fields...)}
}

func field(k string, v parse.Value) parse.MapField { return parse.MapField{Key: k, Value: v} }

// rawDoc makes a document from extended JSON, as a person would read it.
func rawDoc(t testing.TB, extJSON string) []byte {
	t.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(extJSON), false, &d); err != nil {
		t.Fatal(err)
	}
	b, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func extJSON(t testing.TB, doc []byte) string {
	t.Helper()
	b, err := bson.MarshalExtJSON(bson.Raw(doc), false, false)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sameObject compares objects by value: they, maps and ACLs keep private state.
var sameObject = cmp.Options{
	cmpopts.IgnoreUnexported(parse.Object{}),
	cmpopts.IgnoreUnexported(parse.Object{}),
	cmp.Transformer("Map", func(m parse.Map) []parse.MapField {
		var out []parse.MapField
		for k, v := range m.All() {
			out = append(out, parse.MapField{Key: k, Value: v})
		}
		return out
	}),
	cmp.Transformer("ACL", func(a *parse.ACL) []parse.ACLEntry {
		if a == nil {
			return nil
		}
		return append([]parse.ACLEntry{{Subject: "acl"}}, a.Entries()...)
	}),
	cmpopts.EquateEmpty(),
}

// The left side is what Parse Server writes; both directions must agree.
func TestLayout(t *testing.T) {
	const head, tail = `{"_id":"id1",`, `"_created_at":{"$date":"2020-01-01T00:00:00Z"},"_updated_at":{"$date":"2020-01-01T00:00:00Z"}}`
	ring := &parse.Polygon{Points: []parse.GeoPoint{{Latitude: 0, Longitude: 1}, {Latitude: 0, Longitude: 2}, {Latitude: 1, Longitude: 2}, {Latitude: 0, Longitude: 1}}}
	date := parse.Date(1577836800000)
	tests := []struct {
		name, class, stored string
		fields              []parse.MapField
	}{
		{"string", "Game", `"str":"s",`, []parse.MapField{field("str", "s")}},
		{"integer", "Game", `"num":5,`, []parse.MapField{field("num", 5.0)}},
		{"fraction", "Game", `"num":5.5,`, []parse.MapField{field("num", 5.5)}},
		{"large", "Game", `"num":{"$numberDouble":"4294967296.0"},`, []parse.MapField{field("num", 4294967296.0)}},
		{"beyond double", "Game", `"num":{"$numberLong":"9007199254740993"},`, []parse.MapField{field("num", parse.Int(9007199254740993))}},
		{"boolean", "Game", `"flag":true,`, []parse.MapField{field("flag", true)}},
		{"null", "Game", `"str":null,`, []parse.MapField{field("str", nil)}},
		{"date", "Game", `"when":{"$date":"2020-01-01T00:00:00Z"},`, []parse.MapField{field("when", date)}},
		{"pointer", "Game", `"_p_ptr":"Foo$x",`, []parse.MapField{field("ptr", parse.Pointer{ClassName: "Foo", ObjectID: "x"})}},
		{"null pointer", "Game", `"ptr":null,`, []parse.MapField{field("ptr", nil)}},
		{"geo point", "Game", `"geo":[20,10],`, []parse.MapField{field("geo", parse.GeoPoint{Latitude: 10, Longitude: 20})}},
		{"polygon", "Game", `"poly":{"type":"Polygon","coordinates":[[[1,0],[2,0],[2,1],[1,0]]]},`, []parse.MapField{field("poly", ring)}},
		{"file", "Game", `"file":"f.txt",`, []parse.MapField{field("file", parse.File{Name: "f.txt"})}},
		{"bytes", "Game", `"bytes":{"$binary":{"base64":"aGVsbG8=","subType":"00"}},`, []parse.MapField{field("bytes", parse.Bytes("hello"))}},
		{
			"array", "Game", `"arr":[1,{"__type":"Pointer","className":"Foo","objectId":"a"},{"$date":"2020-01-01T00:00:00Z"}],`,
			[]parse.MapField{field("arr", parse.Array{1.0, parse.Pointer{ClassName: "Foo", ObjectID: "a"}, date})},
		},
		{
			"object", "Game", `"obj":{"g":{"__type":"GeoPoint","latitude":1,"longitude":2},"f":{"__type":"File","name":"n","url":"u"},"x":{"__type":"?"}},`,
			[]parse.MapField{field("obj", parse.NewMap(field("g", parse.GeoPoint{Latitude: 1, Longitude: 2}),
				field("f", parse.File{Name: "n", URL: "u"}), field("x", parse.NewMap(field("__type", "?")))))},
		},
		{
			"user", "_User", `"username":"u","_hashed_password":"$2a$10$x","_email_verify_token_expires_at":{"$date":"2020-01-01T00:00:00Z"},"_auth_data_facebook":{"id":"1"},"_auth_data_x":{},`,
			[]parse.MapField{
				field("username", "u"), field("_hashed_password", "$2a$10$x"), field("_email_verify_token_expires_at", date),
				field("authData", parse.NewMap(field("facebook", parse.NewMap(field("id", "1"))), field("x", &parse.Map{}))),
			},
		},
		{
			"session", "_Session", `"_session_token":"r:1","_last_used":{"$date":"2020-01-01T00:00:00Z"},"times_used":3,`,
			[]parse.MapField{field("sessionToken", "r:1"), field("lastUsed", date), field("timesUsed", 3.0)},
		},
		{
			"unknown pointer", "Game", `"_p_new":"Foo$x",`,
			[]parse.MapField{field("new", parse.Pointer{ClassName: "Foo", ObjectID: "x"})},
		},
		{
			"unknown geo point", "Game", `"new":{"__type":"GeoPoint","latitude":1,"longitude":2},`,
			[]parse.MapField{field("new", parse.GeoPoint{Latitude: 1, Longitude: 2})},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := rawDoc(t, head+tt.stored+tail)
			class, o := testClass(tt.class), objectOf(tt.class, tt.fields...)
			got, err := encodeObject(nil, class, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(extJSON(t, stored), extJSON(t, got)); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			back, err := decodeObject(class, stored)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(o, back, sameObject); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestACLLayout(t *testing.T) {
	tests := []struct {
		name, stored string
		acl          *parse.ACL
	}{
		{"none", `{"_id":"id1"}`, nil},
		{"locked", `{"_id":"id1","_rperm":[],"_wperm":[],"_acl":{}}`, parse.NewACL()},
		{
			"entries", `{"_id":"id1","_rperm":["*","u1"],"_wperm":["u1","role:A"],"_acl":{"u1":{"w":true,"r":true},"role:A":{"w":true},"*":{"r":true}}}`,
			parse.NewACL(parse.ACLEntry{Subject: "*", Read: true}, parse.ACLEntry{Subject: "u1", Read: true, Write: true}, parse.ACLEntry{Subject: "role:A", Write: true}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := &parse.Object{ClassName: "Game", ID: "id1", ACL: tt.acl}
			got, err := encodeObject(nil, testClass("Game"), o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(extJSON(t, rawDoc(t, tt.stored)), extJSON(t, got)); diff != "" {
				t.Error(diff)
			}
			back, err := decodeObject(testClass("Game"), got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(o, back, sameObject); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What only old or other writers store must be read all the same.
func TestReadLegacy(t *testing.T) {
	tests := []struct {
		name, class, stored string
		want                *parse.Object
	}{
		{"object id", "Game", `{"_id":{"$oid":"5f0000000000000000000001"}}`, &parse.Object{ID: "5f0000000000000000000001"}},
		{"integer id", "_GlobalConfig", `{"_id":1}`, &parse.Object{ID: "1"}},
		{"unprefixed dates", "Game", `{"_id":"a","createdAt":{"$date":"2020-01-01T00:00:00Z"},"updatedAt":"2020-01-01T00:00:00.000Z"}`, &parse.Object{ID: "a", CreatedAt: 1577836800000, UpdatedAt: 1577836800000}},
		{"long", "Game", `{"_id":"a","num":{"$numberLong":"7"}}`, &parse.Object{ID: "a", Fields: *parse.NewMap(field("num", 7.0))}},
		{"decimal", "Game", `{"_id":"a","num":{"$numberDecimal":"7.5"}}`, &parse.Object{ID: "a", Fields: *parse.NewMap(field("num", 7.5))}},
		{"base64 bytes", "Game", `{"_id":"a","bytes":"aGVsbG8="}`, &parse.Object{ID: "a", Fields: *parse.NewMap(field("bytes", parse.Bytes("hello")))}},
		{"date of a dotted update", "Game", `{"_id":"a","obj":{"d":{"__type":"Date","iso":"2020-01-01T00:00:00.000Z"}}}`, &parse.Object{ID: "a", Fields: *parse.NewMap(field("obj", parse.NewMap(field("d", parse.Date(1577836800000)))))}},
		{"expiry", "_Session", `{"_id":"a","_expiresAt":{"$date":"2020-01-01T00:00:00Z"}}`, &parse.Object{ID: "a", Fields: *parse.NewMap(field("expiresAt", parse.Date(1577836800000)))}},
		{"null provider, literal authData", "_User", `{"_id":"a","_auth_data_x":null,"authData":{"y":{}}}`, &parse.Object{ID: "a"}},
		{"read permission alone", "Game", `{"_id":"a","_rperm":["u"]}`, &parse.Object{ID: "a", ACL: parse.NewACL(parse.ACLEntry{Subject: "u", Read: true})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.ClassName = tt.class
			got, err := decodeObject(testClass(tt.class), rawDoc(t, tt.stored))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, sameObject); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	deep := parse.Value("x")
	for range 200 {
		deep = parse.Array{deep}
	}
	tests := []struct {
		name string
		f    parse.MapField
		code parse.Code
	}{
		{"NUL in a key", field("obj", parse.NewMap(field("a\x00b", 1.0))), parse.InvalidNestedKey},
		{"NUL in a field", field("a\x00b", 1.0), parse.InvalidNestedKey},
		{"depth", field("arr", deep), parse.InvalidJSON},
		{"operation", field("num", parse.Increment{Amount: 1}), parse.IncorrectType},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := encodeObject(nil, testClass("Game"), objectOf("Game", tt.f))
			if got := parse.CodeOf(err); got != tt.code {
				t.Errorf("code %d, want %d (%v)", got, tt.code, err)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole, err := encodeObject(nil, testClass("Game"), objectOf("Game", field("str", "abc"), field("arr", parse.Array{1.0})))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if _, err := decodeObject(testClass("Game"), whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes were read without an error", n, len(whole))
		}
	}
	if _, err := decodeObject(testClass("Game"), rawDoc(t, `{"_id":"a","_p_ptr":"no dollar"}`)); err == nil {
		t.Error("a pointer without a class was read")
	}
}

// drawValue draws a value that may stand inside arrays and objects.
func drawValue(t *rapid.T, depth int) parse.Value {
	kinds := 11
	if depth == 0 {
		kinds = 9
	}
	word := rapid.StringMatching(`[a-z]{1,4}`)
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64().Draw(t, "float")
	case 3:
		return float64(rapid.Int32().Draw(t, "int"))
	case 4:
		return integer(rapid.Int64().Draw(t, "long"))
	case 5:
		return strings.ToValidUTF8(rapid.String().Draw(t, "string"), "")
	case 6:
		return parse.Date(rapid.Int64Range(-1<<40, 1<<42).Draw(t, "date"))
	case 7:
		return parse.Pointer{ClassName: word.Draw(t, "class"), ObjectID: word.Draw(t, "id")}
	case 8:
		return parse.GeoPoint{Latitude: rapid.Float64Range(-90, 90).Draw(t, "lat"), Longitude: rapid.Float64Range(-180, 180).Draw(t, "lng")}
	case 9:
		return parse.Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case 10:
		a := parse.Array{}
		for range rapid.IntRange(0, 4).Draw(t, "len") {
			a = append(a, drawValue(t, depth-1))
		}
		return a
	}
	m := &parse.Map{}
	for range rapid.IntRange(0, 4).Draw(t, "keys") {
		m.Set(word.Draw(t, "key"), drawValue(t, depth-1))
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	class := testClass("Game")
	rapid.Check(t, func(t *rapid.T) {
		o := objectOf("Game",
			field("obj", parse.NewMap(field("v", drawValue(t, 3)))),
			field("arr", parse.Array{drawValue(t, 3), drawValue(t, 2)}),
			field("num", rapid.Float64().Draw(t, "num")))
		doc, err := encodeObject(nil, class, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := bson.Raw(doc).Validate(); err != nil {
			t.Fatal(err)
		}
		back, err := decodeObject(class, doc)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, back, sameObject, cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, math.MinInt32 - 1, 1 << 53, 1e300, 0.1} {
		doc, err := encodeObject(nil, testClass("Game"), objectOf("Game", field("num", f)))
		if err != nil {
			t.Fatal(err)
		}
		o, err := decodeObject(testClass("Game"), doc)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := o.Number("num"); !ok || math.Float64bits(got) != math.Float64bits(f) {
			t.Errorf("%v came back as %v", f, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	class := testClass("_User")
	seed, err := encodeObject(nil, class, objectOf("_User", field("str", "s"), field("arr", parse.Array{1.0, "x", nil}),
		field("geo", parse.GeoPoint{Latitude: 1, Longitude: 2}), field("authData", parse.NewMap(field("a", &parse.Map{})))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add(emptyDocument)
	f.Add(rawDoc(f, `{"_id":{"$numberDecimal":"1E6000"},"poly":{"type":"Polygon","coordinates":[[[1]]]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		o, err := decodeObject(class, doc)
		if err != nil {
			return
		}
		if again, err := encodeObject(nil, class, o); err == nil {
			if err := bson.Raw(again).Validate(); err != nil {
				t.Fatal(err)
			}
		} else if pe := (*parse.Error)(nil); !errors.As(err, &pe) {
			t.Fatal(err)
		}
	})
}

func benchObject() *parse.Object {
	o := objectOf("Game", field("str", "a string of some length"), field("num", 42.0), field("flag", true),
		field("when", parse.Date(1577836800000)), field("ptr", parse.Pointer{ClassName: "Foo", ObjectID: "abcdefghij"}),
		field("arr", parse.Array{1.0, 2.0, "three"}), field("obj", parse.NewMap(field("a", 1.0), field("b", "two"))))
	o.ACL = parse.NewACL(parse.ACLEntry{Subject: "u1", Read: true, Write: true}, parse.ACLEntry{Subject: "*", Read: true})
	return o
}

func BenchmarkEncode(b *testing.B) {
	class, o := testClass("Game"), benchObject()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = encodeObject(buf[:0], class, o)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	class := testClass("Game")
	doc, err := encodeObject(nil, class, benchObject())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeObject(class, doc); err != nil {
			b.Fatal(err)
		}
	}
}

// Parse Server stores a null for a pointer of a new object under the plain key,
// and leaves it there when a pointer comes; a null that it sets later is nothing.
func TestNullPointers(t *testing.T) {
	set := objectOf("Game", field("ptr", parse.Pointer{ClassName: "Foo", ObjectID: "x"}))
	tests := []struct {
		name, stored string
		want         *parse.Object
	}{
		{"set to null", `{"_id":"id1","_p_ptr":null}`, objectOf("Game")},
		{"created as null", `{"_id":"id1","ptr":null}`, objectOf("Game", field("ptr", nil))},
		{"set after a null", `{"_id":"id1","ptr":null,"_p_ptr":"Foo$x"}`, set},
		{"a null behind it", `{"_id":"id1","_p_ptr":"Foo$x","ptr":null}`, set},
		{"both null", `{"_id":"id1","ptr":null,"_p_ptr":null}`, objectOf("Game", field("ptr", nil))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.CreatedAt, tt.want.UpdatedAt = 0, 0
			got, err := decodeObject(testClass("Game"), rawDoc(t, tt.stored))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, sameObject); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}
