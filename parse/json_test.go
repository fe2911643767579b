package parse_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
)

// date reads a date of a test.
func date(t testing.TB, s string) parse.Date {
	t.Helper()
	d, ok := parse.ParseDate(s)
	if !ok {
		t.Fatalf("bad date %q", s)
	}
	return d
}

func decode(t testing.TB, s string) parse.Value {
	t.Helper()
	v, err := parse.Decode([]byte(s), parse.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func TestDecode(t *testing.T) {
	cases := map[string]struct {
		in   string
		want parse.Value
	}{
		"null":               {`null`, nil},
		"booleans":           {`[true,false]`, parse.Array{true, false}},
		"numbers":            {`[0,-0,1,-1.5,1e3,0.1,9007199254740991]`, parse.Array{0.0, 0.0, 1.0, -1.5, 1000.0, 0.1, 9007199254740991.0}},
		"exact large double": {`9007199254740992`, 9007199254740992.0},
		"beyond a double":    {`9007199254740993`, parse.Int(9007199254740993)},
		"beyond an int64":    {`18446744073709551615`, 18446744073709551615.0},
		"string":             {`"a\"b\\\/\b\f\n\r\té\u00e9😀\ud83d\ude00"`, "a\"b\\/\b\f\n\r\té\u00e9😀😀"},
		"lone surrogates":    {`"\ud800x\udc00"`, "\ufffdx\ufffd"},
		"invalid UTF-8":      {"\"a\xffb\"", "a\ufffdb"},
		"date":               {`{"__type":"Date","iso":"2020-01-02T03:04:05.678Z"}`, parse.Date(1577934245678)},
		"date with zone":     {`{"iso":"2020-01-02T04:04:05.678+01:00","__type":"Date"}`, parse.Date(1577934245678)},
		"pointer":            {`{"__type":"Pointer","className":"A","objectId":"x"}`, parse.Pointer{ClassName: "A", ObjectID: "x"}},
		"relation":           {`{"__type":"Relation","className":"A"}`, parse.Relation{ClassName: "A"}},
		"geo point":          {`{"__type":"GeoPoint","latitude":40,"longitude":-30}`, parse.GeoPoint{Latitude: 40, Longitude: -30}},
		"file":               {`{"__type":"File","name":"n.txt","url":"u"}`, parse.File{Name: "n.txt", URL: "u"}},
		"bytes":              {`{"__type":"Bytes","base64":"aGk="}`, parse.Bytes("hi")},
		"polygon is closed": {
			`{"__type":"Polygon","coordinates":[[0,0],[0,1],[1,1]]}`,
			&parse.Polygon{Points: []parse.GeoPoint{{}, {Longitude: 1}, {Latitude: 1, Longitude: 1}, {}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := decode(t, tc.in); !cmp.Equal(tc.want, got) {
				t.Error(cmp.Diff(tc.want, got))
			}
		})
	}
}

func TestMalformedTypesStayMaps(t *testing.T) {
	for _, in := range []string{
		`{"__type":"Date","iso":"yesterday"}`, `{"__type":"Date"}`, `{"__type":"Pointer","className":"A"}`,
		`{"__type":"GeoPoint","latitude":91,"longitude":0}`, `{"__type":"GeoPoint","latitude":"1","longitude":0}`,
		`{"__type":"Bytes","base64":"?"}`, `{"__type":"Polygon","coordinates":[[0,0],[1,1]]}`,
		`{"__type":"Polygon","coordinates":[[0,0],[1,1],[0,0]]}`, `{"__type":"Unknown","a":1}`, `{"__type":5,"a":1}`,
		`{"__op":"Increment","amount":1}`, `{"__type":"Object","className":""}`,
	} {
		v := decode(t, in)
		if _, ok := v.(*parse.Map); !ok {
			t.Errorf("%s became %T", in, v)
		}
		if got := string(parse.AppendJSON(nil, v)); got != in {
			t.Errorf("%s became %s", in, got)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	cases := map[string]string{
		``:         "Unexpected end of JSON input",
		`{`:        "Unexpected end of JSON input",
		`{"a"}`:    "Unexpected token '}' in JSON at position 4",
		`{"a":1,}`: "Unexpected token '}' in JSON at position 7",
		`[1,]`:     "Unexpected token ']' in JSON at position 3",
		`[1 2]`:    "Unexpected token '2' in JSON at position 3",
		`01`:       "Unexpected end of JSON input",
		`1.`:       "Unexpected end of JSON input",
		`1e`:       "Unexpected end of JSON input",
		`-`:        "Unexpected end of JSON input",
		`+1`:       "Unexpected token '+' in JSON at position 0",
		`nul`:      "Unexpected token 'n' in JSON at position 0",
		`NaN`:      "Unexpected token 'N' in JSON at position 0",
		`"a`:       "Unterminated string in JSON at position 2",
		"\"a\nb\"": "Bad control character in string literal in JSON at position 2",
		`"\x"`:     "Bad escaped character in JSON at position 1",
		`"\u12g4"`: "Bad escaped character in JSON at position 1",
		`1e999`:    "number out of range in JSON at position 0",
		`{} x`:     "Unexpected token 'x' in JSON at position 3",
		`é`:        "Unexpected token 'é' in JSON at position 0",
	}
	for in, want := range cases {
		_, err := parse.Decode([]byte(in), parse.Limits{})
		var se *parse.SyntaxError
		if !errors.As(err, &se) || se.Message != want {
			t.Errorf("%q: want %q, got %v", in, want, err)
		}
	}
}

func TestLimits(t *testing.T) {
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	if _, err := parse.Decode([]byte(deep), parse.Limits{}); parse.CodeOf(err) != parse.InvalidJSON || !strings.HasSuffix(err.Error(), "JSON is nested deeper than 128 levels") {
		t.Errorf("200 levels: %v", err)
	}
	if _, err := parse.Decode([]byte(`[[[]]]`), parse.Limits{Depth: 3}); err != nil {
		t.Error(err)
	}
	if _, err := parse.Decode([]byte(`[[[[]]]]`), parse.Limits{Depth: 3}); err == nil {
		t.Error("depth 4 of 3 must be refused")
	}
	if _, err := parse.Decode([]byte(`{"a":[1,{}],"b":2}`), parse.Limits{Values: 4}); err != nil {
		t.Errorf("as many values as allowed: %v", err)
	}
	if _, err := parse.Decode([]byte(`{"a":[1,{}],"b":2}`), parse.Limits{Values: 3}); parse.CodeOf(err) != parse.InvalidJSON || !strings.HasSuffix(err.Error(), "JSON has more than 3 values") {
		t.Errorf("too many values: %v", err)
	}
	if _, err := parse.Decode([]byte(`{"a":1,"b":2,"c":3}`), parse.Limits{Keys: 2}); err == nil {
		t.Error("3 keys of 2 must be refused")
	}
	if _, err := parse.Decode([]byte(`"abcdef"`), parse.Limits{Bytes: 4}); err == nil {
		t.Error("8 bytes of 4 must be refused")
	}
	if _, err := parse.DecodeMap([]byte(`[]`), parse.Limits{}); parse.CodeOf(err) != parse.InvalidJSON {
		t.Errorf("an array is no map: %v", err)
	}
}

func TestNumbersAsJavaScriptWritesThem(t *testing.T) {
	cases := map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 1: "1", -1: "-1", 0.1: "0.1", 1e20: "100000000000000000000", 1e21: "1e+21",
		1.5e300: "1.5e+300", 1e-6: "0.000001", 1e-7: "1e-7", 1.25e-10: "1.25e-10", 123456789.125: "123456789.125",
		math.NaN(): "null", math.Inf(1): "null", 5e-324: "5e-324", 9007199254740993: "9007199254740992",
	}
	for in, want := range cases {
		if got := string(parse.AppendJSON(nil, in)); got != want {
			t.Errorf("%g: want %s, got %s", in, want, got)
		}
	}
}

func TestObjectJSON(t *testing.T) {
	o := &parse.Object{
		ClassName: "A", ID: "x1", CreatedAt: date(t, "2020-01-02T03:04:05.678Z"), UpdatedAt: date(t, "2020-01-02T03:04:06.007Z"),
		ACL: parse.NewACL(parse.ACLEntry{Subject: "*", Read: true}, parse.ACLEntry{Subject: "u1", Read: true, Write: true}),
		Fields: *parse.NewMap(
			parse.MapField{Key: "n", Value: 1.0},
			parse.MapField{Key: "_hashed_password", Value: "secret"},
			parse.MapField{Key: "child", Value: &parse.Object{ClassName: "B", ID: "y"}},
		),
	}
	want := `{"objectId":"x1","n":1,"child":{"__type":"Object","className":"B","objectId":"y"},` +
		`"createdAt":"2020-01-02T03:04:05.678Z","updatedAt":"2020-01-02T03:04:06.007Z",` +
		`"ACL":{"*":{"read":true},"u1":{"read":true,"write":true}}}`
	if got := string(o.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(o.AppendFields(nil)); !strings.Contains(got, `"_hashed_password":"secret"`) {
		t.Errorf("the storage form keeps internal fields: %s", got)
	}
	back, ok := decode(t, string(parse.AppendJSON(nil, o))).(*parse.Object)
	if !ok || back.ID != o.ID || back.CreatedAt != o.CreatedAt || !cmp.Equal(back.ACL.Entries(), o.ACL.Entries()) {
		t.Errorf("an included object must come back: %+v", back)
	}
	if got := string((&parse.Object{ACL: parse.NewACL()}).AppendJSON(nil)); got != `{"ACL":{}}` {
		t.Errorf("a locked object shows an empty ACL: %s", got)
	}
}

func TestMapOrderAndDuplicates(t *testing.T) {
	in := `{"z":1,"a":2,"m":{"y":1,"b":2},"z":3}`
	if got := string(parse.AppendJSON(nil, decode(t, in))); got != `{"z":3,"a":2,"m":{"y":1,"b":2}}` {
		t.Error(got)
	}
	var b strings.Builder // enough keys for the index of a map
	b.WriteString(`{`)
	for i := range 40 {
		if i > 0 {
			b.WriteString(`,`)
		}
		fmt.Fprintf(&b, `"k%02d":1`, i)
	}
	b.WriteString(`}`)
	if got := string(parse.AppendJSON(nil, decode(t, b.String()))); got != b.String() {
		t.Error(got)
	}
}

// values generates any value that has a wire form.
func values() *rapid.Generator[parse.Value] {
	leaf := rapid.OneOf(
		rapid.Just[parse.Value](nil),
		rapid.Map(rapid.Bool(), func(b bool) parse.Value { return b }),
		rapid.Map(rapid.Float64(), func(f float64) parse.Value {
			if f == 0 { // JSON.stringify knows no -0
				return 0.0
			}
			return f
		}),
		rapid.Map(rapid.Int64Range(1<<53+1, 1<<62), func(n int64) parse.Value { return parse.Int(n | 1) }),
		rapid.Map(rapid.String(), func(s string) parse.Value { return strings.ToValidUTF8(s, "?") }),
		rapid.Map(rapid.Int64Range(-6e13, 2e14), func(ms int64) parse.Value { return parse.Date(ms) }),
		rapid.Map(rapid.StringMatching(`[A-Za-z0-9]{1,10}`), func(s string) parse.Value { return parse.Pointer{ClassName: "C" + s, ObjectID: s} }),
		rapid.Map(rapid.Float64Range(-90, 90), func(f float64) parse.Value { return parse.GeoPoint{Latitude: f + 0, Longitude: 2*f + 0} }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) parse.Value { return parse.Bytes(b) }),
	)
	return rapid.Custom(func(t *rapid.T) parse.Value {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			a := parse.Array{}
			for range rapid.IntRange(0, 4).Draw(t, "n") {
				a = append(a, leaf.Draw(t, "e"))
			}
			return a
		case 1:
			m := &parse.Map{}
			for range rapid.IntRange(0, 20).Draw(t, "n") {
				m.Set(rapid.StringMatching(`[a-zé"\\]{1,3}`).Draw(t, "k"), leaf.Draw(t, "v"))
			}
			return m
		}
		return leaf.Draw(t, "leaf")
	})
}

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values().Draw(t, "v")
		data := parse.AppendJSON(nil, v)
		if !json.Valid(data) {
			t.Fatalf("not JSON: %s", data)
		}
		back, err := parse.Decode(data, parse.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !parse.Equal(v, back) {
			t.Fatalf("%s came back as %s", data, parse.AppendJSON(nil, back))
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2,{"b":null}],"d":{"__type":"Date","iso":"2020-01-02T03:04:05.678Z"}}`, `"\ud83d\ude00"`, `-1.5e-7`, `[[[]]]`,
		`{"__type":"Object","className":"A","createdAt":"2020-01-02T03:04:05.678Z","ACL":{"*":{"read":1}}}`, `9007199254740993`, `{"a":`, "\"\xff\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parse.Decode(data, parse.Limits{})
		if ours, theirs := err == nil, json.Valid(data); ours && !theirs {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		if err != nil {
			return
		}
		once := parse.AppendJSON(nil, v)
		again, err := parse.Decode(once, parse.Limits{})
		if err != nil {
			t.Fatalf("own output %q: %v", once, err)
		}
		if twice := parse.AppendJSON(nil, again); string(once) != string(twice) {
			t.Fatalf("not stable: %q, then %q", once, twice)
		}
	})
}

const sample = `{"username":"alice","score":1337.5,"active":true,"tags":["red","green","blue"],"born":{"__type":"Date","iso":"1990-01-02T03:04:05.678Z"},` +
	`"owner":{"__type":"Pointer","className":"_User","objectId":"aB3dE5gH7j"},"where":{"__type":"GeoPoint","latitude":40.1,"longitude":-30.5},` +
	`"profile":{"city":"Zürich","zip":8000,"langs":["de","fr"]},"note":"a \"quoted\" note","count":42,"empty":"","nothing":null}`

func BenchmarkDecode(b *testing.B) {
	data := []byte(sample)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse.Decode(data, parse.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	m, err := parse.DecodeMap([]byte(sample), parse.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	o := &parse.Object{ClassName: "A", ID: "aB3dE5gH7j", CreatedAt: 1577934245678, UpdatedAt: 1577934245678, Fields: *m}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = o.AppendJSON(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeStandardLibrary(b *testing.B) {
	data := []byte(sample)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			b.Fatal(err)
		}
	}
}
