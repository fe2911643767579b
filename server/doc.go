// Package server puts pargo together: it opens the database, applies
// schema.json, builds the services and serves them on one port until its
// context ends.
package server
