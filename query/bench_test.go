package query_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// BenchmarkOperators matches one object, each time with another class of operators.
func BenchmarkOperators(b *testing.B) {
	o := object(b)
	o.Set("text", "MongoDB is a document database that runs searches in the words of its texts")
	o.Set("g", parse.GeoPoint{Latitude: 10, Longitude: 20})
	o.Set("q", &parse.Polygon{Points: []parse.GeoPoint{{}, {Longitude: 30}, {Latitude: 30, Longitude: 30}, {}}})
	list := make([]string, 100)
	for i := range list {
		list[i] = fmt.Sprintf(`"v%d"`, i)
	}
	for _, tc := range []struct{ name, where string }{
		{"equality", `{"text":"x"}`},
		{"comparison", `{"n":{"$gt":1,"$lte":9}}`},
		{"in", `{"text":{"$in":[` + strings.Join(list, ",") + `]}}`},
		{"in elements", `{"tags":{"$in":["q","c"]}}`},
		{"all", `{"tags":{"$all":["a","b"]}}`},
		{"containedBy", `{"tags":{"$containedBy":["a","b","c"]}}`},
		{"exists", `{"nope":{"$exists":false}}`},
		{"dotted", `{"o.k":1}`},
		{"logic", `{"$or":[{"n":1},{"$nor":[{"n":2},{"n":3}]}]}`},
		{"regex prefix", `{"text":{"$regex":"^\\QMongo\\E"}}`},
		{"regex contained", `{"text":{"$regex":"\\Qsearches\\E"}}`},
		{"regex linear", `{"text":{"$regex":"doc\\w+ data"}}`},
		{"regex case", `{"text":{"$regex":"SEARCHES","$options":"i"}}`},
		{"regex look-ahead", `{"text":{"$regex":"(?=.*words)doc\\w+"}}`},
		{"text", `{"text":{"$text":{"$search":{"$term":"searching -nothing"}}}}`},
		{"near", `{"g":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":1},"$maxDistance":1}}`},
		{"polygon", `{"g":{"$geoWithin":{"$polygon":[[0,0],[30,0],[30,30],[0,30]]}}}`},
		{"intersects", `{"q":{"$geoIntersects":{"$point":{"__type":"GeoPoint","latitude":5,"longitude":10}}}}`},
	} {
		b.Run(tc.name, func(b *testing.B) {
			scan := matcher(b, where(b, tc.where)).Scan()
			b.ReportAllocs()
			for b.Loop() {
				scan.Match(o)
			}
		})
	}
}

// BenchmarkPattern reads a pattern that goes back, which somebody else has in
// use already, or nobody.
func BenchmarkPattern(b *testing.B) {
	const text = `^(?=a)(a+)+$`
	b.Run("in use", func(b *testing.B) {
		first, err := query.NewRegex("s", text, "", 0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := query.NewRegex("s", text, "", 0); err != nil {
				b.Fatal(err)
			}
		}
		runtime.KeepAlive(first)
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := query.NewRegex("s", text+"|"+strconv.Itoa(i), "", 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}
