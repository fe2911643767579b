package query_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

const places = `{"g":{"__type":"GeoPoint","latitude":10,"longitude":20},"q":{"__type":"Polygon","coordinates":[[0,0],[0,4],[4,4],[4,0]]},
	"list":[{"__type":"GeoPoint","latitude":10,"longitude":20}],"d":{"__type":"Date","iso":"2024-01-02T00:00:00.000Z"}}`

func place(lat, lng float64) parse.GeoPoint { return parse.GeoPoint{Latitude: lat, Longitude: lng} }

func drawPlace(t *rapid.T) parse.GeoPoint {
	return place(rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lng"))
}

func TestMatchGeo(t *testing.T) {
	m, _ := decode(t, places).(*parse.Map)
	o := &parse.Object{ClassName: "C", ID: "id1", Fields: *m}
	const p = `{"__type":"GeoPoint","latitude":10,"longitude":20}`
	const q = `{"__type":"GeoPoint","latitude":11,"longitude":20}`
	for w, want := range map[string]bool{
		`{"g":{"$nearSphere":` + q + `}}`:                                                                                     true,
		`{"list":{"$nearSphere":` + q + `}}`:                                                                                  false,
		`{"nope":{"$nearSphere":` + q + `}}`:                                                                                  false,
		`{"q":{"$nearSphere":` + q + `}}`:                                                                                     false,
		`{"g":{"$nearSphere":` + q + `,"$maxDistance":0.017}}`:                                                                false,
		`{"g":{"$nearSphere":` + q + `,"$maxDistanceInRadians":0.018}}`:                                                       true,
		`{"g":{"$nearSphere":` + q + `,"$maxDistanceInKilometers":111.1}}`:                                                    false,
		`{"g":{"$nearSphere":` + q + `,"$maxDistanceInKilometers":111.2}}`:                                                    true,
		`{"g":{"$nearSphere":` + q + `,"$maxDistanceInMiles":69}}`:                                                            false,
		`{"g":{"$nearSphere":` + q + `,"$maxDistanceInMiles":69.2}}`:                                                          true,
		`{"g":{"$nearSphere":` + p + `,"$maxDistance":0}}`:                                                                    true,
		`{"g":{"$within":{"$box":[` + p + `,` + q + `]}}}`:                                                                    true,
		`{"g":{"$within":{"$box":[` + q + `,` + p + `]}}}`:                                                                    true,
		`{"g":{"$within":{"$box":[` + q + `,` + q + `]}}}`:                                                                    false,
		`{"g":{"$geoWithin":{"$polygon":[[0,0],[30,0],[30,15]]}}}`:                                                            true,
		`{"g":{"$geoWithin":{"$polygon":[[0,0],[15,0],[15,30]]}}}`:                                                            false,
		`{"g":{"$geoWithin":{"$polygon":[[0,0],[40,20],[0,20]]}}}`:                                                            true, // on the edge
		`{"g":{"$geoWithin":{"$polygon":[` + p + `,` + q + `,[0,0]]}}}`:                                                       true, // a corner
		`{"g":{"$geoWithin":{"$polygon":{"__type":"Polygon","coordinates":[[0,0],[30,0],[30,15]]}}}}`:                         true,
		`{"g":{"$geoWithin":{"$polygon":{"__type":"Polygon","coordinates":[[100,0],[170,0],[170,15]]}}}}`:                     false,
		`{"g":{"$geoWithin":{"$polygon":{"__type":"Polygon","coordinates":[[-100,0],[170,0],[170,89],[-100,89],[-100,0]]}}}}`: true,
		`{"g":{"$geoWithin":{"$centerSphere":[` + q + `,0.018]}}}`:                                                            true,
		`{"g":{"$geoWithin":{"$centerSphere":[[20,11],0.017]}}}`:                                                              false,
		`{"q":{"$geoIntersects":{"$point":{"__type":"GeoPoint","latitude":1,"longitude":2}}}}`:                                true,
		`{"q":{"$geoIntersects":{"$point":{"__type":"GeoPoint","latitude":4,"longitude":4}}}}`:                                true,
		`{"q":{"$geoIntersects":{"$point":{"__type":"GeoPoint","latitude":5,"longitude":4}}}}`:                                false,
		`{"g":{"$geoIntersects":{"$point":` + p + `}}}`:                                                                       false,
	} {
		m := matcher(t, where(t, w))
		if got := m.Match(o); got != want {
			t.Errorf("%s: match %v, want %v", w, got, want)
		}
		if n := testing.AllocsPerRun(10, func() { m.Match(o) }); n != 0 {
			t.Errorf("%s: %v allocations", w, n)
		}
	}
}

func TestGeoErrors(t *testing.T) {
	const p = `{"__type":"GeoPoint","latitude":10,"longitude":20}`
	const polygon = `{"g":{"$geoWithin":{"$polygon":`
	const sphere = `{"g":{"$geoWithin":{"$centerSphere":`
	for _, tt := range []struct {
		where string
		code  parse.Code
		text  string
	}{
		{`{"g":{"$nearSphere":[1,2]}}`, 107, "bad $nearSphere value; it should be a GeoPoint"},
		{`{"g":{"$nearSphere":` + p + `,"$maxDistance":"1"}}`, 107, "bad $maxDistance value"},
		{`{"g":{"$nearSphere":` + p + `,"$maxDistanceInMiles":-1}}`, 107, "bad $maxDistanceInMiles value"},
		{`{"g":{"$nearSphere":` + p + `,"$maxDistance":1,"$maxDistanceInMiles":1}}`, 102, "$nearSphere takes one distance only"},
		{`{"g":{"$maxDistance":1}}`, 102, "$maxDistance needs a $nearSphere"},
		{`{"$or":[{"$and":[{"g":{"$nearSphere":` + p + `}}]}]}`, 102, "$nearSphere must be at the top level or inside $and"},
		{`{"$nor":[{"g":{"$nearSphere":` + p + `},"a":1}]}`, 102, "$nearSphere must be at the top level or inside $and"},
		{`{"g":{"$within":1}}`, 107, "malformatted $within arg"},
		{`{"g":{"$within":{"$box":[` + p + `]}}}`, 107, "malformatted $within arg"},
		{`{"g":{"$within":{"$box":[` + p + `,1]}}}`, 107, "malformatted $within arg"},
		{`{"g":{"$geoWithin":{}}}`, 107, "bad $geoWithin value"},
		{polygon + `[` + p + `,` + p + `]}}}`, 107, "bad $geoWithin value; $polygon should contain at least 3 GeoPoints"},
		{polygon + `{"__type":"Polygon","coordinates":[[1,2],[3,4]]}}}}`, 107, "bad $geoWithin value; Polygon.coordinates should contain at least 3 lon/lat pairs"},
		{polygon + `{"__type":"Polygon"}}}}`, 107, "bad $geoWithin value; Polygon.coordinates should contain at least 3 lon/lat pairs"},
		{polygon + `{"__type":"Polygon","coordinates":[[1,100],[2,100],[3,4]]}}}}`, 107, "bad $geoWithin value"},
		{polygon + `{"x":1}}}}`, 107, "bad $geoWithin value; $polygon should be Polygon object or Array of Parse.GeoPoint's"},
		{polygon + `"x"}}}`, 107, "bad $geoWithin value; $polygon should be Polygon object or Array of Parse.GeoPoint's"},
		{polygon + `[1,2,3]}}}`, 107, "bad $geoWithin value"},
		{polygon + `[[1,2],[3,4],[5,91]]}}}`, 107, "bad $geoWithin value"},
		{polygon + `[[1,2],[3,4],[5,6,7]]}}}`, 107, "bad $geoWithin value"},
		{sphere + `1}}}`, 107, "bad $geoWithin value; $centerSphere should be an array of Parse.GeoPoint and distance"},
		{sphere + `[` + p + `]}}}`, 107, "bad $geoWithin value; $centerSphere should be an array of Parse.GeoPoint and distance"},
		{sphere + `["x",1]}}}`, 107, "bad $geoWithin value; $centerSphere geo point invalid"},
		{sphere + `[[181,0],1]}}}`, 107, "bad $geoWithin value; $centerSphere geo point invalid"},
		{sphere + `[` + p + `,"1"]}}}`, 107, "bad $geoWithin value; $centerSphere distance invalid"},
		{sphere + `[` + p + `,-1]}}}`, 107, "bad $geoWithin value; $centerSphere distance invalid"},
		{`{"g":{"$geoIntersects":{"$point":[1,2]}}}`, 107, "bad $geoIntersect value; $point should be GeoPoint"},
		{`{"g":{"$geoIntersects":1}}`, 107, "bad $geoIntersect value; $point should be GeoPoint"},
		{polygon + `[[0,0],[1,0],[1,1],[0,1]]}}}`, 102, "$polygon has more than the maximum allowed 3 points"},
	} {
		_, err := query.ParseWhere(decode(t, tt.where), query.Limits{InValues: 3}, query.Scope{})
		var e *parse.Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Message != tt.text {
			t.Errorf("%s: %v, want %d %s", tt.where, err, tt.code, tt.text)
		}
	}
}

func TestGeoTree(t *testing.T) {
	const near = `{"n":1,"$and":[{"g":{"$nearSphere":{"__type":"GeoPoint","latitude":10,"longitude":20},"$maxDistance":1}}]}`
	n := where(t, near)
	from := place(10, 20)
	if d := cmp.Diff([]query.Sort{{Path: "g", From: &from}}, query.NearOrder(n)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"g", "n"}, query.Roots(n)); d != "" {
		t.Error(d)
	}
	for _, n := range []query.Node{nil, query.ByID("a"), &query.Or{Nodes: []query.Node{n}}} {
		if order := query.NearOrder(n); order != nil {
			t.Errorf("order %v", order)
		}
	}
	texts := map[string]query.Node{}
	for _, n := range []query.Node{
		&query.Near{Path: "g", Point: from},
		&query.Near{Path: "g", Point: from, Limited: true},
		&query.Near{Path: "g", Point: from, Limited: true, MaxDistance: 1},
		&query.Near{Path: "h", Point: from},
		&query.Within{Path: "g", Area: query.Box{North: 1}},
		&query.Within{Path: "g", Area: query.Box{East: 1}},
		&query.Within{Path: "g", Area: query.Sphere{Center: from, Radius: 1}},
		&query.Within{Path: "g", Area: query.Ring{from, place(1, 1), place(2, 3)}},
		&query.Within{Path: "g", Area: query.Ring{from, place(2, 3), place(1, 1)}},
		&query.Intersects{Path: "g", Point: from},
	} {
		text := query.Canonical(n)
		if other, ok := texts[text]; ok {
			t.Errorf("%+v and %+v are both %s", n, other, text)
		}
		texts[text] = n
		if r, err := query.Rewrite(n, func(n query.Node) (query.Node, error) { return n, nil }); r != n || err != nil {
			t.Errorf("rewritten to %v, %v", r, err)
		}
		if p := query.PathOf(n); p != "g" && p != "h" {
			t.Errorf("%s is about %q", text, p)
		}
	}
}

func TestNearOrderSorts(t *testing.T) {
	from := place(0, 179)
	at := func(v parse.Value) *parse.Object {
		o := &parse.Object{}
		o.Set("g", v)
		return o
	}
	list := []*parse.Object{at(place(0, 179)), at(place(1, -179)), at(place(4, 175)), at(place(0, 0)), at("x")}
	for _, desc := range []bool{false, true} {
		less := query.Less([]query.Sort{{Path: "g", From: &from, Desc: desc}})
		for i := range list[1:] {
			if c := less(list[i], list[i+1]); c == 0 || c < 0 == desc {
				t.Errorf("descending %v: %d and %d compare as %d", desc, i, i+1, c)
			}
		}
	}
	if c := query.Less([]query.Sort{{Path: "g", From: &from}})(at(nil), &parse.Object{}); c != 0 {
		t.Errorf("two that are nowhere compare as %d", c)
	}
}

func TestAreas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b, p := drawPlace(rt), drawPlace(rt), drawPlace(rt)
		box := query.Box{
			South: min(a.Latitude, b.Latitude), West: min(a.Longitude, b.Longitude),
			North: max(a.Latitude, b.Latitude), East: max(a.Longitude, b.Longitude),
		}
		ring := query.Ring{place(box.South, box.West), place(box.South, box.East), place(box.North, box.East), place(box.North, box.West)}
		if box.Contains(p) != ring.Contains(p) {
			rt.Errorf("the box and its corners disagree on %v", p)
		}
		for _, corner := range ring {
			if !box.Contains(corner) || !ring.Contains(corner) {
				rt.Errorf("corner %v is outside", corner)
			}
		}
		distance := query.Distance(a, p)
		if math.Abs(distance-query.Distance(p, a)) > 1e-12 || distance < 0 || distance > math.Pi {
			rt.Errorf("distance %v, back %v", distance, query.Distance(p, a))
		}
		// The law of cosines, which is exact enough far from 0 and π.
		radians := math.Pi / 180
		cos := math.Sin(a.Latitude*radians)*math.Sin(p.Latitude*radians) +
			math.Cos(a.Latitude*radians)*math.Cos(p.Latitude*radians)*math.Cos((p.Longitude-a.Longitude)*radians)
		if math.Abs(math.Cos(distance)-cos) > 1e-12 {
			rt.Errorf("distance %v has cosine %v, want %v", distance, math.Cos(distance), cos)
		}
		sphere := query.Sphere{Center: a, Radius: rapid.Float64Range(0, 4).Draw(rt, "radius")}
		triangle := query.Ring{a, b, drawPlace(rt)}
		for _, area := range []query.Area{box, ring, triangle, sphere, query.Sphere{Center: a, Radius: distance}} {
			if area.Contains(p) && !area.Bounds().Contains(p) {
				rt.Errorf("%v holds %v, its bounds %v do not", area, p, area.Bounds())
			}
		}
	})
}

func TestRelativeTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"now": 0, "NOW": 0, "in 1 day": day, "In 2 Days  3 hrs": 2*day + 3*time.Hour, "3 weeks ago": -21 * day,
		"1 year 1 wk 1 d 1 hr 1 min 1 sec ago": -(365+7+1)*day - time.Hour - time.Minute - time.Second,
		"in -1 day":                            -day,
	} {
		n, err := query.ParseWhere(decode(t, `{"d":{"$gte":{"$relativeTime":"`+text+`"}}}`),
			query.Limits{Now: func() time.Time { return now }}, query.Scope{})
		want := &query.Compare{Path: "d", Op: query.Gte, Value: parse.NewDate(now.Add(want)), Relative: true}
		if d := cmp.Diff(query.Node(want), n); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", text, err, d)
		}
	}
	for w, want := range map[string]string{
		`{"$lt":{"$relativeTime":"tomorrow"}}`:               "bad $relativeTime ($lt) value. Time should either start with 'in' or end with 'ago'",
		`{"$lt":{"$relativeTime":""}}`:                       "bad $relativeTime ($lt) value. Time should either start with 'in' or end with 'ago'",
		`{"$lt":{"$relativeTime":7}}`:                        "bad $relativeTime ($lt) value. Time should either start with 'in' or end with 'ago'",
		`{"$lte":{"$relativeTime":"in 1 day ago"}}`:          "bad $relativeTime ($lte) value. Time cannot have both 'in' and 'ago'",
		`{"$gt":{"$relativeTime":"in 1 day 2"}}`:             "bad $relativeTime ($gt) value. Invalid time string. Dangling unit or number.",
		`{"$gte":{"$relativeTime":"1.5 days ago"}}`:          "bad $relativeTime ($gte) value. '1.5' is not an integer.",
		`{"$lt":{"$relativeTime":"in 1 fortnight"}}`:         "bad $relativeTime ($lt) value. Invalid interval: 'fortnight'",
		`{"$lt":{"$relativeTime":"in 9000000000000000 yr"}}`: "bad $relativeTime ($lt) value. The time is out of range.",
		`{"$lt":{"$relativeTime":"in 200000 yr 200000 yr"}}`: "bad $relativeTime ($lt) value. The time is out of range.",
		`{"$eq":{"$relativeTime":"now"}}`:                    "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators",
		`{"$ne":{"$relativeTime":"now"}}`:                    "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators",
		`{"$exists":{"$relativeTime":"now"}}`:                "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators",
	} {
		_, err := query.ParseWhere(decode(t, `{"d":`+w+`}`), query.Limits{}, query.Scope{})
		var e *parse.Error
		if !errors.As(err, &e) || e.Code != 107 || e.Message != want {
			t.Errorf("%s: %v, want %s", w, err, want)
		}
	}
	if !matcher(t, where(t, `{"createdAt":{"$lt":{"$relativeTime":"1 min ago"}}}`)).Match(object(t)) {
		t.Error("the object of a past year is not older than a minute")
	}
}
