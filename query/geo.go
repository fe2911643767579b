package query

import (
	"math"
	"strconv"

	"github.com/pargo-baas/pargo/parse"
)

// Area is a part of the earth's surface: a [Box], a [Ring] or a [Sphere].
type Area interface {
	// Contains reports whether a point is inside or on the edge. It does not
	// allocate.
	Contains(p parse.GeoPoint) bool
	// Bounds returns a box that holds the whole area, a hair wider than it
	// need be so that a storage may ask for it in spite of rounding.
	Bounds() Box

	canonical(b []byte) []byte
}

// Box is the area between two latitudes and two longitudes, in degrees. It
// does not cross the 180th meridian: West is at most East.
type Box struct{ South, West, North, East float64 }

// Ring is a polygon on the plane of latitude and longitude; the last point is
// joined to the first. As [Box], it does not cross the 180th meridian.
type Ring []parse.GeoPoint

// Sphere is all that lies within Radius, in radians along a great circle, of
// Center.
type Sphere struct {
	Center parse.GeoPoint
	Radius float64
}

// Radii of the earth as the protocol has them: what turns a distance into
// radians.
const (
	earthMiles      = 3959
	earthKilometers = 6371
)

// hair widens bounds by a decimetre, in degrees.
const hair = 1e-6

const degree = math.Pi / 180

// Distance returns the length of the great circle between two points in radians.
func Distance(a, b parse.GeoPoint) float64 {
	sinLat := math.Sin((b.Latitude - a.Latitude) * degree / 2)
	sinLng := math.Sin((b.Longitude - a.Longitude) * degree / 2)
	h := sinLat*sinLat + math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*sinLng*sinLng
	return 2 * math.Asin(math.Sqrt(min(1, h)))
}

// Contains implements [Area].
func (x Box) Contains(p parse.GeoPoint) bool {
	return p.Latitude >= x.South && p.Latitude <= x.North && p.Longitude >= x.West && p.Longitude <= x.East
}

// Bounds implements [Area].
func (x Box) Bounds() Box {
	return Box{
		South: max(x.South-hair, -90), West: max(x.West-hair, -180),
		North: min(x.North+hair, 90), East: min(x.East+hair, 180),
	}
}

func (x Box) canonical(b []byte) []byte {
	return appendFloats(append(b, "box"...), x.South, x.West, x.North, x.East)
}

// Contains implements [Area].
func (s Sphere) Contains(p parse.GeoPoint) bool { return Distance(s.Center, p) <= s.Radius }

// Bounds implements [Area].
func (s Sphere) Bounds() Box {
	radius := s.Radius / degree
	x := Box{South: s.Center.Latitude - radius, West: -180, North: s.Center.Latitude + radius, East: 180}
	if x.South > -90 && x.North < 90 { // no pole is inside, so the meridians are bounded
		width := math.Asin(min(1, math.Sin(s.Radius)/math.Cos(s.Center.Latitude*degree))) / degree
		if west, east := s.Center.Longitude-width, s.Center.Longitude+width; west > -180 && east < 180 {
			x.West, x.East = west, east
		}
	}
	return x.Bounds()
}

func (s Sphere) canonical(b []byte) []byte {
	return appendFloats(append(b, "sphere"...), s.Center.Latitude, s.Center.Longitude, s.Radius)
}

// Contains implements [Area].
func (r Ring) Contains(p parse.GeoPoint) bool {
	inside := false
	for i := range r {
		a, b := r[i], r[(i+1)%len(r)]
		if onEdge(a, b, p) {
			return true
		}
		// Does the edge cross the parallel of p, to the east of it?
		if (a.Latitude > p.Latitude) != (b.Latitude > p.Latitude) &&
			p.Longitude < a.Longitude+(p.Latitude-a.Latitude)/(b.Latitude-a.Latitude)*(b.Longitude-a.Longitude) {
			inside = !inside
		}
	}
	return inside
}

// onEdge reports whether p lies on the line from a to b.
func onEdge(a, b, p parse.GeoPoint) bool {
	return (b.Longitude-a.Longitude)*(p.Latitude-a.Latitude) == (b.Latitude-a.Latitude)*(p.Longitude-a.Longitude) &&
		p.Latitude >= min(a.Latitude, b.Latitude) && p.Latitude <= max(a.Latitude, b.Latitude) &&
		p.Longitude >= min(a.Longitude, b.Longitude) && p.Longitude <= max(a.Longitude, b.Longitude)
}

// Bounds implements [Area].
func (r Ring) Bounds() Box {
	x := Box{South: 90, West: 180, North: -90, East: -180}
	for _, p := range r {
		x.South, x.North = min(x.South, p.Latitude), max(x.North, p.Latitude)
		x.West, x.East = min(x.West, p.Longitude), max(x.East, p.Longitude)
	}
	return x.Bounds()
}

func (r Ring) canonical(b []byte) []byte {
	floats := make([]float64, 0, 2*len(r))
	for _, p := range r {
		floats = append(floats, p.Latitude, p.Longitude)
	}
	return appendFloats(append(b, "ring"...), floats...)
}

func appendFloats(b []byte, floats ...float64) []byte {
	b = append(b, '(')
	for i, f := range floats {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, f, 'g', -1, 64)
	}
	return append(b, ')')
}

// Area returns where n matches; nil: everywhere.
func (n *Near) Area() Area {
	if !n.Limited {
		return nil
	}
	return Sphere{Center: n.Point, Radius: n.MaxDistance}
}

// NearOrder returns the order that a query without one has: nearest first, if
// it has a Near at the top or in nested Ands, else none.
func NearOrder(n Node) []Sort {
	var out []Sort
	Walk(n, func(n Node) bool {
		switch n := n.(type) {
		case *And:
			return out == nil
		case *Near:
			if out == nil {
				out = []Sort{{Path: n.Path, From: &n.Point}}
			}
		}
		return false
	})
	return out
}

// distanceTo is the distance of a value to a point; what is no GeoPoint is
// farther away than any.
func distanceTo(p parse.GeoPoint, v parse.Value) float64 {
	if g, ok := v.(parse.GeoPoint); ok {
		return Distance(p, g)
	}
	return math.Inf(1)
}

// geo is the test of Near and Within, or, if holds, of Intersects.
type geo struct {
	area   Area // nil: all
	bounds Box  // of area
	point  parse.GeoPoint
	holds  bool
}

func newGeo(a Area) *geo {
	g := &geo{area: a}
	if a != nil {
		g.bounds = a.Bounds()
	}
	return g
}

func (g *geo) match(v parse.Value) bool {
	if g.holds {
		p, ok := v.(*parse.Polygon)
		return ok && p != nil && Ring(p.Points).Contains(g.point)
	}
	p, ok := v.(parse.GeoPoint)
	return ok && (g.area == nil || g.bounds.Contains(p) && g.area.Contains(p))
}

// radians tells for each operator of a distance what one radian is.
var radians = map[string]float64{
	"$maxDistance": 1, "$maxDistanceInRadians": 1, "$maxDistanceInMiles": earthMiles, "$maxDistanceInKilometers": earthKilometers,
}

// near reads a $nearSphere; all has the distance beside it.
func near(path Path, v parse.Value, all *parse.Map) (Node, error) {
	n := &Near{Path: path}
	var ok bool
	if n.Point, ok = v.(parse.GeoPoint); !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "bad $nearSphere value; it should be a GeoPoint")
	}
	for key, v := range all.All() {
		unit, ok := radians[key]
		if !ok {
			continue
		}
		distance, ok := v.(float64)
		switch {
		case !ok || distance < 0:
			return nil, parse.Errorf(parse.InvalidJSON, "bad %s value", key)
		case n.Limited:
			return nil, parse.Errorf(parse.InvalidQuery, "$nearSphere takes one distance only")
		}
		n.Limited, n.MaxDistance = true, distance/unit
	}
	return n, nil
}

// within reads a $within.
func within(path Path, v parse.Value) (Node, error) {
	m, _ := v.(*parse.Map)
	box, _ := m.Get("$box")
	corners, _ := box.(parse.Array)
	if len(corners) == 2 {
		a, ok1 := corners[0].(parse.GeoPoint)
		b, ok2 := corners[1].(parse.GeoPoint)
		if ok1 && ok2 {
			return &Within{Path: path, Area: Box{
				South: min(a.Latitude, b.Latitude), West: min(a.Longitude, b.Longitude),
				North: max(a.Latitude, b.Latitude), East: max(a.Longitude, b.Longitude),
			}}, nil
		}
	}
	return nil, parse.Errorf(parse.InvalidJSON, "malformatted $within arg")
}

// geoWithin reads a $geoWithin.
func (p *parser) geoWithin(path Path, v parse.Value) (Node, error) {
	m, _ := v.(*parse.Map)
	if polygon, ok := m.Get("$polygon"); ok {
		r, err := ring(polygon)
		if err != nil {
			return nil, err
		}
		if len(r) > p.lim.InValues {
			return nil, parse.Errorf(parse.InvalidQuery, "$polygon has more than the maximum allowed %d points", p.lim.InValues)
		}
		return &Within{Path: path, Area: r}, nil
	}
	if sphere, ok := m.Get("$centerSphere"); ok {
		s, err := centerSphere(sphere)
		if err != nil {
			return nil, err
		}
		return &Within{Path: path, Area: s}, nil
	}
	return nil, badWithin("")
}

func badWithin(what string) error {
	return parse.Errorf(parse.InvalidJSON, "bad $geoWithin value%s", what)
}

// ring reads a $polygon.
func ring(v parse.Value) (Ring, error) {
	switch v := v.(type) {
	case *parse.Polygon:
		// Here, and here alone, the protocol has the longitude first.
		r := make(Ring, len(v.Points))
		for i, p := range v.Points {
			if r[i] = (parse.GeoPoint{Latitude: p.Longitude, Longitude: p.Latitude}); !onEarth(r[i]) {
				return nil, badWithin("")
			}
		}
		return r, nil
	case *parse.Map:
		if v.String("__type") != "Polygon" {
			break
		}
		coordinates, _ := v.Get("coordinates")
		list, _ := coordinates.(parse.Array)
		if len(list) < 3 {
			return nil, badWithin("; Polygon.coordinates should contain at least 3 lon/lat pairs")
		}
		return vertices(list)
	case parse.Array:
		if len(v) < 3 {
			return nil, badWithin("; $polygon should contain at least 3 GeoPoints")
		}
		return vertices(v)
	}
	return nil, badWithin("; $polygon should be Polygon object or Array of Parse.GeoPoint's")
}

func vertices(list parse.Array) (Ring, error) {
	r := make(Ring, len(list))
	for i, e := range list {
		var ok bool
		if r[i], ok = lonLat(e); !ok {
			return nil, badWithin("")
		}
	}
	return r, nil
}

// lonLat reads a GeoPoint or a pair of longitude and latitude.
func lonLat(v parse.Value) (p parse.GeoPoint, ok bool) {
	switch v := v.(type) {
	case parse.GeoPoint:
		return v, true
	case parse.Array:
		if len(v) == 2 {
			lng, ok1 := v[0].(float64)
			lat, ok2 := v[1].(float64)
			p = parse.GeoPoint{Latitude: lat, Longitude: lng}
			return p, ok1 && ok2 && onEarth(p)
		}
	}
	return p, false
}

func onEarth(p parse.GeoPoint) bool {
	return p.Latitude >= -90 && p.Latitude <= 90 && p.Longitude >= -180 && p.Longitude <= 180
}

func centerSphere(v parse.Value) (s Sphere, err error) {
	list, _ := v.(parse.Array)
	if len(list) < 2 {
		return s, badWithin("; $centerSphere should be an array of Parse.GeoPoint and distance")
	}
	var ok bool
	if s.Center, ok = lonLat(list[0]); !ok {
		return s, badWithin("; $centerSphere geo point invalid")
	}
	if s.Radius, ok = list[1].(float64); !ok || s.Radius < 0 {
		return s, badWithin("; $centerSphere distance invalid")
	}
	return s, nil
}

// intersects reads a $geoIntersects.
func intersects(path Path, v parse.Value) (Node, error) {
	m, _ := v.(*parse.Map)
	point, _ := m.Get("$point")
	p, ok := point.(parse.GeoPoint)
	if !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "bad $geoIntersect value; $point should be GeoPoint")
	}
	return &Intersects{Path: path, Point: p}, nil
}
