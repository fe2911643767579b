// Package query holds the one query tree of pargo, its parser and its matcher.
//
// A where clause is parsed once, at the edge, into a [Node]; SQL, BSON and the
// matcher of live queries are walkers over that tree. No adapter ever sees the
// JSON of a query.
//
// # Meaning of a constraint
//
// This is what all walkers implement, and what property tests compare:
//
//   - null equals missing. Eq null holds for both, Ne is the negation of Eq in
//     all cases, Exists asks for a field that is present, and an explicit null
//     counts as present only on storages that keep it; pargo's keep it.
//   - If the field holds an Array, Eq, In and the comparisons hold when any
//     element satisfies them; Ne and Nin are the negations.
//   - Values of different types are never equal; Lt, Lte, Gt and Gte hold only
//     between two numbers, two strings (by bytes), two Dates or two booleans
//     (false < true). Anything else does not match and is no error.
//   - Pointers are equal when class and id are. A bare string in In, Nin and
//     Ne on a field of type Pointer stands for a pointer to its target class:
//     the parser has no schema, so the caller normalises with [Normalize].
//   - Near, Within and Intersects hold for a GeoPoint, or a Polygon, and not for
//     an Array of them. Distances are of great circles on a sphere; boxes and
//     polygons lie on the plane of latitude and longitude, edges belong to them,
//     and none crosses the 180th meridian. Near is a constraint and, for a query
//     that states no order, one: [NearOrder].
//   - Sorting: missing and null first, then booleans, numbers, strings, Dates,
//     anything else, in ascending order; ties keep storage order.
package query
