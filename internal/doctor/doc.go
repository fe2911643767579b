// Package doctor examines a running server and tells what its operator should
// do: groups of checks, each with a state, and statistics of the queries that
// were served, with the indexes that would have helped.
//
// [Stats] hears of every find and count through [storage.Observed] and adds it
// to the statistics of its shape: class, fields with the kinds of their
// constraints, order, size of the limit. Values are no part of a shape, so
// statistics tell nothing about data. Groups of checks are functions: who knows
// something worth checking gives its own to [New].
package doctor
