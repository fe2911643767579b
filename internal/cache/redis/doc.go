// Package redis is cache.Cache and cache.Bus on a Redis server, for pargo
// servers that work side by side.
//
// While the server cannot be reached, calls fail at once instead of waiting
// each for a timeout, subscriptions say so, and messages wait within a bound.
// The outage is logged when it begins and when it ends.
package redis
