package parse

import "time"

// Value is one Parse value. Its dynamic type is one of:
//
//	nil       JSON null
//	bool
//	float64   a number (IEEE double)
//	Int       an integer beyond ±2^53 that a double cannot hold exactly
//	string
//	Date      {"__type":"Date"}
//	Pointer   {"__type":"Pointer"}
//	Relation  {"__type":"Relation"}
//	GeoPoint  {"__type":"GeoPoint"}
//	*Polygon  {"__type":"Polygon"}
//	File      {"__type":"File"}
//	Bytes     {"__type":"Bytes"}
//	Array     a JSON array
//	*Map      a JSON object, key order kept
//	*Object   an included object, {"__type":"Object"}
//
// and, only in the fields of a write that were read by [ParseOps], an [Op].
// An object with a __type that is unknown or malformed stays a *Map, exactly
// as it came.
type Value any

// Int is an integer that float64 cannot represent exactly.
type Int int64

// Array is a JSON array.
type Array []Value

// Date is an instant in milliseconds since the Unix epoch, UTC.
type Date int64

// dateLayout is Parse's wire form, always UTC and three decimals.
const dateLayout = "2006-01-02T15:04:05.000Z"

// NewDate returns t as a Date, cut to milliseconds.
func NewDate(t time.Time) Date { return Date(t.UnixMilli()) }

// Time returns d in UTC.
func (d Date) Time() time.Time { return time.UnixMilli(int64(d)).UTC() }

// String returns d as on the wire: 2006-01-02T15:04:05.000Z.
func (d Date) String() string { return d.Time().Format(dateLayout) }

// ParseDate reads an ISO 8601 instant as Parse clients write it.
func ParseDate(s string) (Date, bool) {
	if d, ok := parseWireDate(s); ok {
		return d, true
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return NewDate(t), true
		}
	}
	return 0, false
}

// parseWireDate reads exactly dateLayout, four times as fast as package time.
func parseWireDate(s string) (Date, bool) {
	if len(s) != len(dateLayout) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != '.' || s[23] != 'Z' {
		return 0, false
	}
	ok := true
	number := func(from, to int) int {
		n := 0
		for _, c := range []byte(s[from:to]) {
			if c -= '0'; c > 9 {
				ok = false
			}
			n = n*10 + int(c)
		}
		return n
	}
	month, day := number(5, 7), number(8, 10)
	hour, minute, sec := number(11, 13), number(14, 16), number(17, 19)
	t := time.Date(number(0, 4), time.Month(month), day, hour, minute, sec, number(20, 23)*1e6, time.UTC)
	if !ok || hour > 23 || minute > 59 || sec > 59 || t.Day() != day || int(t.Month()) != month {
		return 0, false
	}
	return NewDate(t), true
}

// Pointer refers to an object of another class.
type Pointer struct{ ClassName, ObjectID string }

// Relation is the value of a relation field; its members are in a join class.
type Relation struct{ ClassName string }

// GeoPoint is a point on the earth, in degrees.
type GeoPoint struct{ Latitude, Longitude float64 }

// Polygon is a closed ring of points; the first equals the last.
type Polygon struct{ Points []GeoPoint }

// File is a reference to a stored file. URL is computed on read.
type File struct{ Name, URL string }

// Bytes is binary data, base64 on the wire.
type Bytes []byte
