// Package schema holds class definitions: fields, class-level permissions and
// indexes; the reading of schema.json; and the immutable Snapshot that a
// request works with from beginning to end.
package schema
