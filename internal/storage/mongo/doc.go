// Package mongo stores objects in MongoDB, in the layout that Parse Server
// uses, so that an existing Parse database is served unchanged and by both
// servers side by side.
//
// # Layout
//
// A class is a collection of its name. objectId is _id, createdAt and updatedAt
// are _created_at and _updated_at, a pointer field f is _p_f with the text
// "Class$id", an ACL is _rperm, _wperm and the legacy mirror _acl. Relations
// are collections _Join:key:Class; class definitions are documents of _SCHEMA.
// What pargo knows of a class beyond Parse stands in _metadata.pargo, which
// Parse Server ignores.
//
// # Indexes
//
// Indexes are what the schema says, with two exceptions for the sake of shared
// databases: the folded indexes of users, unique by definition, are made
// without uniqueness, as Parse Server makes them, and who writes users must
// look first; and users have a unique index of anonymous ids that the schema
// does not speak of.
//
// # Queries
//
// A query tree becomes a filter that selects at least the objects that the
// tree means (filter.go). Where MongoDB means exactly what package query
// defines the filter is the answer; where it does not (paths into arrays,
// equality of objects, whose key order MongoDB compares) the rest is decided
// by [query.Matcher] on what comes back.
//
// # Writes
//
// An update is one findAndModify wherever an update operator of MongoDB does
// what the Parse operation means. Otherwise it is a loop that reads, computes,
// and writes on condition that nothing it depends on has changed (update.go).
// Every write is atomic for one object. Several objects are atomic in a
// transaction only, which needs a replica set or a sharded cluster: [Open]
// returns a [storage.Transactor] for those alone.
package mongo
