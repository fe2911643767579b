// Package livequery tells subscribed clients about changes of objects: the
// Parse LiveQuery protocol over websockets (reference 05).
//
// A [Hub] takes the committed changes from the write path, finds the distinct
// queries that a change can concern through an index, asks the access package
// once for each set of callers with equal rights, encodes an object once for
// each set of visible fields, and puts the bytes into the bounded queues of
// the clients. DESIGN.md in this folder says what it guarantees and how.
package livequery
