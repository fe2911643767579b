// Package rest is the Parse REST API (reference 01): it turns a request into a
// principal, values and one call of a service, and the outcome into JSON.
//
// The way of a request is: [Handler.ServeHTTP] (CORS, path, body, credentials)
// → gin (routing) → one handler of the route table → service. The items of
// /batch skip the first two and enter at the route table, so that an operation
// means the same wherever it comes from.
package rest
