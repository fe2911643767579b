// Package redisbus carries the changes of objects between live-query servers
// through Redis, on the channels and with the messages of Parse Server
// (reference 05 §12), so that both kinds of server can share one Redis.
//
// A server tells its own hub of its changes before and without the bus. The bus
// adds a member "pargo" to each message, which Parse Server does not look at:
// the node that sent it, so that a node skips its own, and a number, so that
// what is sent again after a broken connection is not taken twice.
//
// While Redis is away, changes wait within a bound. What does not fit, and what
// may have been published while a node was not listening, is not told: the
// clients concerned are made to read anew ([Sink.Lost]).
package redisbus
