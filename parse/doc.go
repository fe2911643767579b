// Package parse is the vocabulary that all of pargo speaks: values, objects,
// operations, ACLs, errors and their JSON. It imports nothing of pargo.
//
// Values are immutable once they are part of an object: to change an array or
// a map inside an object, put a new one in its place. That is what makes
// [Object.Clone] cheap and lets one object be shared by the write path, the
// hooks and every live-query subscriber.
package parse
