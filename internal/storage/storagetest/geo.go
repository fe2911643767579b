package storagetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/query"
)

func testGeo(t *testing.T, s storage.Store) {
	c := create(t, s, NewClass("Place"))
	at := func(lat, lng string) string {
		return `{"__type":"GeoPoint","latitude":` + lat + `,"longitude":` + lng + `}`
	}
	insert(t, s, c,
		object(t, c.Name, "berlin", `{"n":1,"g":`+at("52.52", "13.405")+`,"q":{"__type":"Polygon","coordinates":[[0,0],[0,4],[4,4],[4,0]]}}`),
		object(t, c.Name, "paris", `{"n":2,"g":`+at("48.8566", "2.3522")+`,"q":{"__type":"Polygon","coordinates":[[2,2],[2,9],[3,2]]}}`),
		object(t, c.Name, "fiji", `{"n":3,"g":`+at("-17.7", "178")+`}`),
		object(t, c.Name, "tonga", `{"n":4,"g":`+at("-21.1", "-175.2")+`}`),
		object(t, c.Name, "pole", `{"n":5,"g":`+at("90", "0")+`}`),
		object(t, c.Name, "nowhere", `{"n":6}`),
		object(t, c.Name, "null", `{"n":7,"g":null,"q":null}`),
	)
	const potsdam = `{"__type":"GeoPoint","latitude":52.4,"longitude":13.06}`
	for _, tc := range []struct {
		where, order string
		want         []string
	}{
		{`{"g":{"$nearSphere":` + potsdam + `}}`, "", []string{"berlin", "paris", "pole", "fiji", "tonga"}},
		{`{"g":{"$nearSphere":` + potsdam + `},"n":{"$gt":1}}`, "", []string{"paris", "pole", "fiji", "tonga"}},
		{`{"$and":[{"g":{"$nearSphere":` + potsdam + `}}]}`, "-n", []string{"pole", "tonga", "fiji", "paris", "berlin"}},
		{`{"g":{"$nearSphere":` + potsdam + `,"$maxDistanceInKilometers":30}}`, "", []string{"berlin"}},
		{`{"g":{"$nearSphere":` + potsdam + `,"$maxDistanceInMiles":600}}`, "", []string{"berlin", "paris"}},
		{`{"g":{"$nearSphere":` + potsdam + `,"$maxDistance":0.7}}`, "", []string{"berlin", "paris", "pole"}},
		{`{"g":{"$nearSphere":` + potsdam + `,"$maxDistanceInRadians":4}}`, "", []string{"berlin", "paris", "pole", "fiji", "tonga"}},
		{`{"g":{"$nearSphere":` + at("52.52", "13.405") + `,"$maxDistance":0}}`, "", []string{"berlin"}},
		// Over the 180th meridian and the pole.
		{`{"g":{"$nearSphere":` + at("-18", "-179") + `,"$maxDistance":0.2}}`, "", []string{"fiji", "tonga"}},
		{`{"g":{"$geoWithin":{"$centerSphere":[[-179,-18],0.2]}}}`, "n", []string{"fiji", "tonga"}},
		{`{"g":{"$geoWithin":{"$centerSphere":[` + at("85", "180") + `,0.1]}}}`, "n", []string{"pole"}},
		{`{"g":{"$geoWithin":{"$centerSphere":[` + at("85", "180") + `,0.05]}}}`, "n", nil},
		{`{"g":{"$within":{"$box":[` + at("48", "2") + `,` + at("53", "14") + `]}}}`, "n", []string{"berlin", "paris"}},
		{`{"g":{"$within":{"$box":[` + at("52.52", "13.405") + `,` + at("90", "180") + `]}}}`, "n", []string{"berlin"}},
		{`{"g":{"$within":{"$box":[` + at("-90", "-180") + `,` + at("90", "180") + `]}}}`, "n", []string{"berlin", "paris", "fiji", "tonga", "pole"}},
		{`{"g":{"$geoWithin":{"$polygon":[` + at("40", "0") + `,` + at("60", "0") + `,` + at("50", "10") + `]}}}`, "n", []string{"paris"}},
		{`{"g":{"$geoWithin":{"$polygon":[[0,40],[0,60],[20,50]]}}}`, "n", []string{"berlin", "paris"}},
		{`{"g":{"$geoWithin":{"$polygon":{"__type":"Polygon","coordinates":[[0,40],[0,60],[20,50]]}}}}`, "n", []string{"berlin", "paris"}},
		{`{"q":{"$geoIntersects":{"$point":` + at("1", "3") + `}}}`, "n", []string{"berlin"}},
		{`{"q":{"$geoIntersects":{"$point":` + at("2", "2") + `}}}`, "n", []string{"berlin", "paris"}},
		{`{"q":{"$geoIntersects":{"$point":` + at("5", "5") + `}}}`, "n", nil},
		{`{"q":{"$nearSphere":` + potsdam + `}}`, "", nil},
		{`{"s":{"$nearSphere":` + potsdam + `}}`, "", nil},
		{`{"$or":[{"g":{"$geoWithin":{"$centerSphere":[` + potsdam + `,0.01]}}},{"n":4}]}`, "n", []string{"berlin", "tonga"}},
		{`{"$nor":[{"g":{"$geoWithin":{"$centerSphere":[` + potsdam + `,1]}}}]}`, "n", []string{"fiji", "tonga", "nowhere", "null"}},
	} {
		t.Run(tc.where, func(t *testing.T) {
			n := where(t, tc.where)
			order, err := query.ParseOrder(tc.order)
			if err != nil {
				t.Fatal(err)
			}
			if len(order) == 0 {
				order = query.NearOrder(n)
			}
			f := &storage.Find{Class: c, Where: n, Order: order, Limit: query.NoLimit}
			if diff := cmp.Diff(append([]string{}, tc.want...), find(t, s, f)); diff != "" {
				t.Errorf("find (-want +got):\n%s", diff)
			}
			f.Skip, f.Limit = 1, 2
			window := append([]string{}, tc.want[min(1, len(tc.want)):min(3, len(tc.want))]...)
			if diff := cmp.Diff(window, find(t, s, f)); diff != "" {
				t.Errorf("skip 1, limit 2 (-want +got):\n%s", diff)
			}
			count, err := s.Count(t.Context(), c, n, nil)
			if err != nil || count != int64(len(tc.want)) {
				t.Errorf("count = %d, %v; want %d", count, err, len(tc.want))
			}
		})
	}
}
