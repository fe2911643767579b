package aggregate

import (
	"math"
	"slices"
	"strings"

	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
	"github.com/pargo-baas/pargo/schema"
)

// earthMeters is the radius of the earth by which MongoDB turns radians into meters.
const earthMeters = 6378100

// lonLat reads a point: a pair of longitude and latitude, as fields of type
// GeoPoint are stored, GeoJSON, or an object with both.
func lonLat(v parse.Value) (p parse.GeoPoint, ok bool) {
	switch v := v.(type) {
	case parse.Array:
		if len(v) != 2 {
			return p, false
		}
		lon, ok := number(v[0])
		lat, ok2 := number(v[1])
		return parse.GeoPoint{Latitude: lat, Longitude: lon}, ok && ok2 && math.Abs(lat) <= 90 && math.Abs(lon) <= 180
	case *parse.Map:
		if pair, ok := v.Get("coordinates"); ok {
			if _, nested := pair.(parse.Array); nested && v.String("type") == "Point" {
				return lonLat(pair)
			}
			return p, false
		}
		lat, _ := v.Get("latitude")
		lon, _ := v.Get("longitude")
		return lonLat(parse.Array{lon, lat})
	}
	return p, false
}

// polygonOf reads the outer ring of a GeoJSON polygon.
func polygonOf(m *parse.Map) (query.Ring, bool) {
	v, _ := m.Get("coordinates")
	rings, _ := v.(parse.Array)
	if m.String("type") != "Polygon" || len(rings) == 0 {
		return nil, false
	}
	outer, _ := rings[0].(parse.Array)
	return ringOf(outer)
}

func ringOf(list parse.Array) (query.Ring, bool) {
	ring := make(query.Ring, len(list))
	for i, e := range list {
		var ok bool
		if ring[i], ok = lonLat(e); !ok {
			return nil, false
		}
	}
	return ring, len(ring) > 2
}

// circle is a part of the plane of longitude and latitude.
type circle struct {
	center parse.GeoPoint
	radius float64
}

func (c circle) Contains(p parse.GeoPoint) bool { return flat(c.center, p) <= c.radius }

func flat(a, b parse.GeoPoint) float64 {
	return math.Hypot(a.Latitude-b.Latitude, a.Longitude-b.Longitude)
}

// area is what a point may lie in.
type area interface{ Contains(p parse.GeoPoint) bool }

// areas are several, of which one is enough.
type areas []area

func (a areas) Contains(p parse.GeoPoint) bool {
	return slices.ContainsFunc(a, func(one area) bool { return one.Contains(p) })
}

func geoTest(op string, v parse.Value) (test, error) {
	m, _ := v.(*parse.Map)
	if m.Len() != 1 {
		return nil, errorf("%s needs an object with one shape", op)
	}
	name, arg := m.At(0).Key, m.At(0).Value
	if op == "$geoIntersects" {
		g, _ := arg.(*parse.Map)
		p, ok := lonLat(g)
		if name != "$geometry" || !ok {
			return nil, errorf("$geoIntersects is supported for a $geometry of type Point alone")
		}
		return func(v parse.Value) bool {
			m, _ := v.(*parse.Map)
			if ring, ok := polygonOf(m); ok {
				return ring.Contains(p)
			}
			other, ok := lonLat(v)
			return ok && other == p
		}, nil
	}
	a, ok := shapeOf(name, arg)
	if !ok {
		return nil, errorf("invalid $geoWithin: %s %s", name, parse.AppendJSON(nil, arg))
	}
	return func(v parse.Value) bool {
		p, ok := lonLat(v)
		return ok && a.Contains(p)
	}, nil
}

func shapeOf(name string, v parse.Value) (area, bool) {
	list, _ := v.(parse.Array)
	switch name {
	case "$geometry":
		m, _ := v.(*parse.Map)
		if m.String("type") != "MultiPolygon" {
			ring, ok := polygonOf(m)
			return ring, ok
		}
		v, _ := m.Get("coordinates")
		polygons, _ := v.(parse.Array)
		out := make(areas, len(polygons))
		for i, p := range polygons {
			ring, ok := polygonOf(parse.NewMap(parse.MapField{Key: "type", Value: "Polygon"}, parse.MapField{Key: "coordinates", Value: p}))
			if !ok {
				return nil, false
			}
			out[i] = ring
		}
		return out, len(out) > 0
	case "$polygon":
		ring, ok := ringOf(list)
		return ring, ok
	case "$box":
		if len(list) != 2 {
			return nil, false
		}
		a, ok := lonLat(list[0])
		b, ok2 := lonLat(list[1])
		return query.Box{
			South: min(a.Latitude, b.Latitude), North: max(a.Latitude, b.Latitude),
			West: min(a.Longitude, b.Longitude), East: max(a.Longitude, b.Longitude),
		}, ok && ok2
	case "$center", "$centerSphere":
		if len(list) != 2 {
			return nil, false
		}
		p, ok := lonLat(list[0])
		r, ok2 := number(list[1])
		if name == "$center" {
			return circle{p, r}, ok && ok2 && r >= 0
		}
		return query.Sphere{Center: p, Radius: r}, ok && ok2 && r >= 0
	}
	return nil, false
}

// nearness is a $geoNear.
type nearness struct {
	near            parse.GeoPoint
	meters          bool // distances are in meters, since near is GeoJSON
	spherical       bool
	key             string
	least, most     float64
	factor          float64
	distanceField   string
	includeLocation string
}

func readNearness(m *parse.Map, class *schema.Class) (*nearness, error) {
	if err := checkArguments("$geoNear", m, []string{"near", "distanceField"},
		[]string{"maxDistance", "minDistance", "query", "spherical", "key", "distanceMultiplier", "includeLocs"}); err != nil {
		return nil, err
	}
	n := &nearness{most: math.Inf(1), factor: 1, distanceField: m.String("distanceField"), includeLocation: m.String("includeLocs"), key: m.String("key")}
	near, _ := m.Get("near")
	var ok bool
	if n.near, ok = lonLat(near); !ok {
		return nil, errorf("$geoNear requires near to be a point: GeoJSON, [longitude, latitude] or a GeoPoint")
	}
	if g, isMap := near.(*parse.Map); isMap && g.Has("coordinates") {
		n.meters, n.spherical = true, true
	}
	for name, to := range map[string]*float64{"maxDistance": &n.most, "minDistance": &n.least, "distanceMultiplier": &n.factor} {
		if v, has := m.Get(name); has {
			if *to, ok = number(v); !ok || *to < 0 {
				return nil, errorf("$geoNear requires %s to be a number that is not negative", name)
			}
		}
	}
	if v, has := m.Get("spherical"); has {
		n.spherical = n.spherical || truth(v)
	}
	if n.distanceField == "" {
		return nil, errorf("$geoNear requires a 'distanceField' option as a String")
	}
	if n.key == "" && class != nil {
		var points []string
		for name, f := range class.Fields {
			if f.Type == schema.GeoPoint {
				points = append(points, name)
			}
		}
		if len(points) != 1 {
			return nil, errorf("$geoNear requires a 'key' option to say which GeoPoint to use; class %s has %d fields of this type", class.Name, len(points))
		}
		n.key = points[0]
	}
	return n, nil
}

func (n *nearness) distance(p parse.GeoPoint) float64 {
	switch {
	case !n.spherical:
		return flat(n.near, p)
	case n.meters:
		return query.Distance(n.near, p) * earthMeters
	}
	return query.Distance(n.near, p)
}

// nearby is what a database may check of a $geoNear.
func nearby(m *parse.Map, class *schema.Class) query.Node {
	n, err := readNearness(m, class)
	if err != nil || class == nil {
		return nil
	}
	var where query.Node
	if v, ok := m.Get("query"); ok {
		if q, ok := v.(*parse.Map); ok {
			where, _ = pushable(q, class)
		}
	}
	f := class.Field(n.key)
	if f == nil || f.Type != schema.GeoPoint || !n.spherical || math.IsInf(n.most, 1) {
		return where
	}
	radius := n.most
	if n.meters {
		radius /= earthMeters
	}
	// A hair wider, so that what rounding puts on the edge stays in.
	return query.AllOf(where, &query.Within{Path: query.Path(n.key), Area: query.Sphere{Center: n.near, Radius: radius*(1+1e-9) + 1e-12}})
}

func (c *compiler) geoNear(arg parse.Value) (stage, error) {
	m, _ := arg.(*parse.Map)
	n, err := readNearness(m, c.o.Class)
	if err != nil {
		return nil, err
	}
	pass := allOf(nil)
	if v, ok := m.Get("query"); ok {
		if pass, err = c.filter(v); err != nil {
			return nil, err
		}
	}
	key := strings.Split(n.key, ".")
	c.seen.see(key[0])
	to, err := fieldPath("$geoNear", n.distanceField)
	if err != nil {
		return nil, err
	}
	var locations []string
	if n.includeLocation != "" {
		if locations, err = fieldPath("$geoNear", n.includeLocation); err != nil {
			return nil, err
		}
	}
	return func(r *run, docs []*parse.Map) ([]*parse.Map, error) {
		type found struct {
			d        *parse.Map
			distance float64
		}
		var list []found
		b := budget{lim: r.lim}
		for _, d := range docs {
			if err := r.step(); err != nil {
				return nil, err
			}
			v := at(d, key)
			p, ok := lonLat(v)
			if !ok {
				continue
			}
			distance := n.distance(p)
			if distance < n.least || distance > n.most {
				continue
			}
			if ok, err := pass(r.env(d)); err != nil || !ok {
				if err != nil {
					return nil, err
				}
				continue
			}
			out := set(d, to, distance*n.factor)
			if locations != nil {
				out = set(out, locations, v)
			}
			if err := b.kept(r, out); err != nil {
				return nil, err
			}
			list = append(list, found{out, distance})
		}
		slices.SortStableFunc(list, func(a, b found) int { return compare(a.distance, b.distance) })
		out := make([]*parse.Map, len(list))
		for i := range list {
			out[i] = list[i].d
		}
		return out, nil
	}, nil
}
