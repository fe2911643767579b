package server_test

import (
	"encoding/json"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// gateway serves the schema.json that comes with pargo.
func gateway(c *config.Config) { c.Schema = json.RawMessage(`"../schema.json"`) }

const (
	now    = `{"__type":"Date","iso":"2026-01-02T03:04:05.000Z"}`
	future = `{"__type":"Date","iso":"2999-01-01T00:00:00.000Z"}`
)

// TestGateway tries to break every rule of the payment gateway.
func TestGateway(t *testing.T) {
	post := func(name, as, class, body string) scenario.Step {
		return scenario.Step{Name: name, Method: "POST", Path: "/classes/" + class, As: as, Body: body, Status: 201}
	}
	refuse := func(st scenario.Step, code parse.Code) scenario.Step {
		st.Status, st.Code = 0, code
		return st
	}
	user := func(name string) string {
		return `{"__type":"Pointer","className":"_User","objectId":"{{` + name + `.id}}"}`
	}
	scenario.Run(t, []scenario.Scenario{
		{Name: "users", Config: gateway, Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{Name: "role is client", Path: "/users/me", As: "alice", JSON: `{"role":"client","...":0}`},
			{Name: "admin at sign-up", Method: "POST", Path: "/users", Body: `{"username":"m","password":"x","email":"m@x","role":"admin"}`, Code: parse.OperationForbidden},
			{Name: "admin by a batch", Method: "POST", Path: "/batch", Body: `{"requests":[{"method":"POST","path":"/parse/users","body":{"username":"m","password":"x","email":"m@x","role":"admin"}}]}`, JSON: `[{"error":{"code":119,"error":"*"}}]`},
			{Name: "admin later", Method: "PUT", Path: "/users/{{alice.id}}", As: "alice", Body: `{"role":"admin"}`, Code: parse.OperationForbidden},
			{Name: "email is required", Method: "POST", Path: "/users", Body: `{"username":"m","password":"x"}`, Code: parse.ValidationError, Error: "email is required"},
			{Name: "clients do not list users", Path: "/users", As: "alice", Code: parse.OperationForbidden},
			{Name: "nor anybody", Path: "/users", Code: parse.OperationForbidden},
			{Name: "others are invisible", Path: "/users/{{alice.id}}", As: "bob", Code: parse.ObjectNotFound},
			{Name: "the public reads nobody", Path: "/users/{{alice.id}}", Code: parse.ObjectNotFound},
			{Name: "others cannot be changed", Method: "PUT", Path: "/users/{{alice.id}}", As: "bob", Body: `{"email":"e@x"}`, Code: parse.SessionMissing},
			{Name: "others cannot be deleted", Method: "DELETE", Path: "/users/{{alice.id}}", As: "bob", Code: parse.SessionMissing},
			{Name: "master makes an admin", Method: "PUT", Path: "/users/{{alice.id}}", As: "master", Body: `{"role":"admin"}`},
			{Name: "the word alone opens nothing", Path: "/users", As: "alice", Code: parse.OperationForbidden},
			{Name: "the role does", Method: "POST", Path: "/roles", As: "master", Body: `{"name":"admin","ACL":{},"users":{"__op":"AddRelation","objects":[` + user("alice") + `]}}`, Status: 201},
			{Name: "admins list users", Path: "/users", As: "alice", Query: map[string]string{"order": "username", "where": `{"username":"bob"}`}, Lacks: []string{"bob@example.com", "hashed", "sessionToken"}},
			{Name: "clients make no roles", Method: "POST", Path: "/roles", As: "bob", Body: `{"name":"admin2","ACL":{"*":{"read":true,"write":true}}}`, Code: parse.OperationForbidden},
		}},
		{Name: "ownership", Config: gateway, Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{Name: "owner filled in", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"tok_approve"}`, Status: 201, Save: map[string]string{"objectId": "method"}},
			{Name: "owner and ACL", Path: "/classes/PaymentMethod/{{method}}", As: "alice", JSON: `{"user":` + user("alice") + `,"ACL":{"{{alice.id}}":{"read":true,"write":true},"role:admin":{"read":true}},"...":0}`},
			refuse(post("foreign owner", "bob", "PaymentMethod", `{"type":"card","details":"x","user":`+user("alice")+`}`), parse.OperationForbidden),
			{Name: "foreign owner in a batch", Method: "POST", Path: "/batch", As: "bob", Body: `{"requests":[{"method":"POST","path":"/parse/classes/PaymentMethod","body":{"type":"card","details":"x","user":` + user("alice") + `}}]}`, JSON: `[{"error":{"code":119,"error":"*"}}]`},
			{Name: "without a session", Method: "POST", Path: "/classes/PaymentMethod", Body: `{"type":"card","details":"x"}`, Code: parse.ObjectNotFound},
			{Name: "hand over", Method: "PUT", Path: "/classes/PaymentMethod/{{method}}", As: "alice", Body: `{"user":` + user("bob") + `}`, Code: parse.OperationForbidden},
			{Name: "drop the owner", Method: "PUT", Path: "/classes/PaymentMethod/{{method}}", As: "alice", Body: `{"user":{"__op":"Delete"}}`, Status: 400},
			{Name: "open the ACL", Method: "PUT", Path: "/classes/PaymentMethod/{{method}}", As: "alice", Body: `{"ACL":{"*":{"read":true,"write":true}}}`},
			{Name: "does not open", Path: "/classes/PaymentMethod/{{method}}", As: "bob", Code: parse.ObjectNotFound},
			{Name: "open ACL on create", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"x","ACL":{"*":{"read":true}}}`, Status: 201},
			{Name: "bob sees none of it", Path: "/classes/PaymentMethod", As: "bob", Query: map[string]string{"count": "1"}, JSON: `{"results":[],"count":0}`},
			{Name: "nor writes", Method: "PUT", Path: "/classes/PaymentMethod/{{method}}", As: "bob", Body: `{"type":"y"}`, Code: parse.ObjectNotFound},
			{Name: "nor deletes", Method: "DELETE", Path: "/classes/PaymentMethod/{{method}}", As: "bob", Code: parse.ObjectNotFound},
			{Name: "no new fields", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"x","cvv":"123"}`, Code: parse.OperationForbidden},
			{Name: "no new classes", Method: "POST", Path: "/classes/Mine", As: "alice", Body: `{}`, Code: parse.OperationForbidden},
		}},
		{Name: "transactions", Config: gateway, Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{Name: "make", Method: "POST", Path: "/classes/TransactionHistory", As: "alice", Body: `{"amount":12.34,"status":"pending","timestamp":` + now + `}`, Status: 201, Save: map[string]string{"objectId": "t"}},
			refuse(post("zero", "alice", "TransactionHistory", `{"amount":0,"status":"pending","timestamp":`+now+`}`), parse.ValidationError),
			refuse(post("negative", "alice", "TransactionHistory", `{"amount":-1,"status":"pending","timestamp":`+now+`}`), parse.ValidationError),
			refuse(post("three decimals", "alice", "TransactionHistory", `{"amount":1.005,"status":"pending","timestamp":`+now+`}`), parse.ValidationError),
			refuse(post("huge", "alice", "TransactionHistory", `{"amount":1e300,"status":"pending","timestamp":`+now+`}`), parse.ValidationError),
			refuse(post("a string", "alice", "TransactionHistory", `{"amount":"1","status":"pending","timestamp":`+now+`}`), parse.IncorrectType),
			refuse(post("no amount", "alice", "TransactionHistory", `{"status":"pending","timestamp":`+now+`}`), parse.ValidationError),
			refuse(post("unknown status", "alice", "TransactionHistory", `{"amount":1,"status":"done","timestamp":`+now+`}`), parse.ValidationError),
			refuse(post("in the future", "alice", "TransactionHistory", `{"amount":1,"status":"pending","timestamp":`+future+`}`), parse.ValidationError),
			refuse(post("completed at once", "alice", "TransactionHistory", `{"amount":1,"status":"completed","timestamp":`+now+`}`), parse.OperationForbidden),
			{Name: "complete it oneself", Method: "PUT", Path: "/classes/TransactionHistory/{{t}}", As: "alice", Body: `{"status":"completed"}`, Code: parse.OperationForbidden},
			{Name: "cancel", Method: "PUT", Path: "/classes/TransactionHistory/{{t}}", As: "alice", Body: `{"status":"cancelled"}`},
			{Name: "a cancelled one is closed", Method: "PUT", Path: "/classes/TransactionHistory/{{t}}", As: "alice", Body: `{"status":"pending"}`, Code: parse.OperationForbidden},
			{Name: "a foreign one", Method: "PUT", Path: "/classes/TransactionHistory/{{t}}", As: "bob", Body: `{"status":"cancelled"}`, Code: parse.ObjectNotFound},
			{Name: "delete a foreign one", Method: "DELETE", Path: "/classes/TransactionHistory/{{t}}", As: "bob", Code: parse.ObjectNotFound},
			{Name: "card number in a description", Method: "POST", Path: "/classes/Transaction", As: "alice", Body: `{"status":"pending","description":"card 4242 4242 4242 4242"}`, Code: parse.ValidationError},
			{Name: "a second one", Method: "POST", Path: "/classes/TransactionHistory", As: "alice", Body: `{"amount":5,"status":"pending","timestamp":` + now + `}`, Status: 201, Save: map[string]string{"objectId": "t2"}},
			{Name: "not even master skips a state", Method: "PUT", Path: "/classes/TransactionHistory/{{t2}}", As: "master", Body: `{"status":"completed"}`, Code: parse.ValidationError},
			{Name: "master processes it", Method: "PUT", Path: "/classes/TransactionHistory/{{t2}}", As: "master", Body: `{"status":"processing"}`},
			{Name: "and completes it", Method: "PUT", Path: "/classes/TransactionHistory/{{t2}}", As: "master", Body: `{"status":"completed"}`},
			{Name: "a completed one is immutable", Method: "PUT", Path: "/classes/TransactionHistory/{{t2}}", As: "alice", Body: `{"amount":1}`, Code: parse.OperationForbidden},
			{Name: "and stays", Method: "DELETE", Path: "/classes/TransactionHistory/{{t2}}", As: "alice", Code: parse.OperationForbidden},
		}},
		{Name: "cards, notifications and the log", Config: gateway, Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{Name: "a card", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"Visa 4111-1111-1111-1111"}`, Status: 201, Save: map[string]string{"objectId": "card"}},
			{Name: "is masked", Path: "/classes/PaymentMethod/{{card}}", As: "alice", Lacks: []string{"4111-1111", "41111111"}},
			{Name: "on update, too", Method: "PUT", Path: "/classes/PaymentMethod/{{card}}", As: "alice", Body: `{"details":"5555555555554444"}`},
			{Name: "masked again", Path: "/classes/PaymentMethod/{{card}}", As: "alice", Lacks: []string{"55555555"}},
			{Name: "no notifications by clients", Method: "POST", Path: "/classes/Notification", As: "alice", Body: `{"type":"x","message":"m","sent_at":` + now + `}`, Code: parse.OperationForbidden},
			{Name: "log", Method: "POST", Path: "/classes/AccessLog", As: "alice", Body: `{"action":"looked","timestamp":` + now + `}`, Status: 201, Save: map[string]string{"objectId": "log"}},
			{Name: "log for another", Method: "POST", Path: "/classes/AccessLog", As: "bob", Body: `{"action":"looked","timestamp":` + now + `,"user":` + user("alice") + `}`, Code: parse.OperationForbidden},
			{Name: "change the log", Method: "PUT", Path: "/classes/AccessLog/{{log}}", As: "alice", Body: `{"action":"slept"}`, Code: parse.OperationForbidden},
			{Name: "delete from the log", Method: "DELETE", Path: "/classes/AccessLog/{{log}}", As: "alice", Code: parse.OperationForbidden},
			{Name: "login", Method: "POST", Path: "/login", Body: `{"username":"alice","password":"pass-alice"}`, Save: map[string]string{"sessionToken": "again.token"}},
			{Name: "logout", Method: "POST", Path: "/logout", As: "again"},
			{Name: "the server logs", Path: "/classes/AccessLog", As: "alice", Query: map[string]string{"where": `{"action":{"$in":["login","logout"]}}`, "count": "1", "limit": "0"}, JSON: `{"results":[],"count":2}`},
			{Name: "bob sees nothing of it", Path: "/classes/AccessLog", As: "bob", Lacks: []string{"{{alice.id}}"}},
		}},
		{Name: "payments", Config: gateway, Steps: []scenario.Step{
			signUp("alice"), signUp("bob"),
			{Name: "a method", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"tok_approve"}`, Status: 201, Save: map[string]string{"objectId": "good"}},
			{Name: "a bad method", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"tok_decline"}`, Status: 201, Save: map[string]string{"objectId": "bad"}},
			{Name: "a slow method", Method: "POST", Path: "/classes/PaymentMethod", As: "alice", Body: `{"type":"card","details":"tok_timeout"}`, Status: 201, Save: map[string]string{"objectId": "slow"}},
			{Name: "pay", Method: "POST", Path: "/functions/processPayment", As: "alice", Body: `{"amount":10,"paymentMethod":"{{good}}","idempotencyKey":"k1"}`, JSON: `{"result":{"status":"completed","amount":10,"...":0}}`, Save: map[string]string{"result.payment": "payment"}},
			{Name: "again", Method: "POST", Path: "/functions/processPayment", As: "alice", Body: `{"amount":10,"paymentMethod":"{{good}}","idempotencyKey":"k1"}`, JSON: `{"result":{"payment":"{{payment}}","status":"completed","...":0}}`},
			{Name: "once only", Path: "/classes/Payment", As: "alice", Query: map[string]string{"count": "1", "limit": "0"}, JSON: `{"results":[],"count":1}`},
			{Name: "with its transaction", Path: "/classes/Transaction", As: "alice", JSON: `{"results":[{"status":"completed","...":0}]}`},
			{Name: "and history", Path: "/classes/TransactionHistory", As: "alice", JSON: `{"results":[{"status":"completed","amount":10,"...":0}]}`},
			{Name: "the same key for something else", Method: "POST", Path: "/functions/processPayment", As: "alice", Body: `{"amount":11,"paymentMethod":"{{good}}","idempotencyKey":"k1"}`, Status: 400},
			{Name: "declined", Method: "POST", Path: "/functions/processPayment", As: "alice", Body: `{"amount":10,"paymentMethod":"{{bad}}","idempotencyKey":"k2"}`, JSON: `{"result":{"status":"failed","...":0}}`},
			{Name: "timed out", Method: "POST", Path: "/functions/processPayment", As: "alice", Body: `{"amount":10,"paymentMethod":"{{slow}}","idempotencyKey":"k3"}`, JSON: `{"result":{"status":"processing","...":0}}`},
			{Name: "with somebody's card", Method: "POST", Path: "/functions/processPayment", As: "bob", Body: `{"amount":10,"paymentMethod":"{{good}}","idempotencyKey":"k"}`, Status: 404},
			{Name: "without a session", Method: "POST", Path: "/functions/processPayment", Body: `{"amount":10,"paymentMethod":"{{good}}","idempotencyKey":"k"}`, Status: 400},
			{Name: "a bad amount", Method: "POST", Path: "/functions/processPayment", As: "alice", Body: `{"amount":-10,"paymentMethod":"{{good}}","idempotencyKey":"k9"}`, Code: parse.ValidationError},
			{Name: "clients do not change payments", Method: "PUT", Path: "/classes/Payment/{{payment}}", As: "alice", Body: `{"amount":1}`, Code: parse.OperationForbidden},
			{Name: "refund a foreign payment", Method: "POST", Path: "/functions/refund", As: "bob", Body: `{"payment":"{{payment}}"}`, Status: 404},
			{Name: "refund too much", Method: "POST", Path: "/functions/refund", As: "alice", Body: `{"payment":"{{payment}}","amount":10.01}`, Code: parse.ValidationError},
			{Name: "refund", Method: "POST", Path: "/functions/refund", As: "alice", Body: `{"payment":"{{payment}}"}`, JSON: `{"result":{"status":"refunded","...":0}}`},
			{Name: "summary", Method: "POST", Path: "/functions/transactionSummary", As: "alice", JSON: `{"result":{"byStatus":"*","byMonth":"*","...":0}}`},
			{Name: "unknown function", Method: "POST", Path: "/functions/nope", Code: parse.ScriptFailed, Error: `Invalid function: "nope"`},
		}},
	})
}
