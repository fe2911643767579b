// Package webhook is cloud code in other languages: hooks and functions that
// are called over HTTP, in the words of Parse Server (reference 06 §11).
//
// A call that the request waits for (functions, before-hooks, logins) has a
// time limit. A host that fails again and again is left alone for a while.
// What follows a write (after save, after delete) does not wait: whoever uses
// the package keeps it and sends it until it has arrived.
//
// Calls carry the key of the application (X-Parse-Webhook-Key) and, with a
// signing secret, the signature of Standard Webhooks.
package webhook
