// Package migrate copies a whole database to another one, of whatever kind: the
// definitions of classes, objects with their internal fields, relations and
// indexes.
//
// # Way
//
// Classes are made at the target without their indexes. Their objects are read
// in the order of their ids, a page at a time, and inserted many at once; the
// members of their relations follow each page. Then the indexes are made, and
// everything is read back from both sides and compared by count and by a hash
// that does not depend on order. Memory is bounded by a few pages, whose size
// follows that of the objects.
//
// # Broken off
//
// After every page the target records how far its class has come, in the class
// [CheckpointClass], which goes when all is done. Another run with the same
// source goes on from there. Pages are recorded after they are written, so that
// objects of the last one may be there already; they are found by their ids.
//
// # What databases do not keep
//
// PostgreSQL stores no null, and rounds integers beyond 2^53, as Parse Server
// does everywhere; a File of an object is its name. The hash leaves these out.
// Hooks and the config have neither dates nor, but for their names, ids.
package migrate
