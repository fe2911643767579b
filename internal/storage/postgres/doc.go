// Package postgres stores objects in PostgreSQL, in the layout that Parse
// Server uses, so that an existing Parse database is served unchanged and by
// both servers side by side. It works on pgx and its pool.
//
// # Layout
//
// A class is a table of its name with a column for each field: "objectId",
// "createdAt", "updatedAt", the permissions "_rperm" and "_wperm" as text[], a
// pointer as the bare id, points and polygons with the longitude first, arrays,
// objects and bytes as jsonb with values as on the wire. Relations are tables
// "_Join:key:Class"; class definitions are rows of "_SCHEMA". What pargo knows
// beyond that stands in the table "_pargo", which Parse Server does not look at.
//
// # What columns cannot hold
//
// A null is a missing value: PostgreSQL has one NULL, and Parse Server takes it
// for a field that is not there. Numbers are doubles, as they are for Parse
// Server: an integer beyond 2^53 is rounded, inside of arrays and objects it is
// kept. The character \u0000 is refused.
//
// # Queries
//
// A query tree becomes a condition that selects at least the objects that the
// tree means (where.go). Where it says more than that, [query.Matcher] decides
// on what comes back. Texts are compared by their bytes, whatever the language
// of the database. Without an order, objects come as they lie in the table, and
// those of one answer by their age.
//
// # Writes
//
// An update is one statement wherever SQL says what the operations mean: it
// locks the row, and gives it back as it was. Otherwise it locks the row,
// computes, and writes what has changed, in a transaction.
package postgres
