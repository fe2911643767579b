package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

// watched serves live queries of the classes that are attacked.
func watched(c *config.Config) {
	c.StartLiveQueryServer = true
	c.LiveQuery.ClassNames = []string{"Doc", "Pub", "Secret", "Own", "_User", "_Session"}
}

// onGuarded runs f on the guarded classes with live queries, on every database.
func onGuarded(t *testing.T, f func(t *testing.T, s *scenario.Server, do func(method, path, as, body string))) {
	t.Helper()
	onDatabases(t, watched, nil, func(t *testing.T, s *scenario.Server) {
		for i := range guarded {
			s.Do(t, &guarded[i])
		}
		f(t, s, func(method, path, as, body string) {
			t.Helper()
			s.Do(t, &scenario.Step{Name: method + " " + path + " " + body, Method: method, Path: path, As: as, Body: body})
		})
	})
}

// subscribe asks for a class and returns the answer.
func (l *live) subscribe(id int, class, members string) frame {
	l.t.Helper()
	l.send(fmt.Sprintf(`{"op":"subscribe","requestId":%d,"sessionToken":%q,"query":{"className":%q,%s}}`, id, l.token, class, members))
	return l.next()
}

// TestAdvisory_Subscriptions: what a find refuses, a subscription refuses.
func TestAdvisory_Subscriptions(t *testing.T) {
	onGuarded(t, func(t *testing.T, s *scenario.Server, do func(method, path, as, body string)) {
		l := dial(t, s, "Pub", s.Var("attacker.token"))
		for i, tt := range []struct {
			id, class, query string
			code             parse.Code
		}{
			{"GHSA-j7mm-f4rv-6q6q", "Doc", `"where":{"secret":"abc"}`, parse.OperationForbidden},
			{"GHSA-j7mm-f4rv-6q6q", "Doc", `"where":{"$or":[{"secretObj.k":1}]}`, parse.OperationForbidden},
			{"GHSA-qpc3-fg4j-8hgm", "Doc", `"where":{},"watch":["secret"]`, parse.OperationForbidden},
			{"GHSA-qpc3-fg4j-8hgm", "Doc", `"where":{},"watch":["secretObj.k"]`, parse.OperationForbidden},
			{"GHSA-7ch5-98q2-7289", "Secret", `"where":{}`, parse.OperationForbidden},
			{"GHSA-mmg8-87c5-jrc2", "Doc", `"where":{"$or":{"0":{"secret":1},"length":1}}`, parse.InvalidQuery},
			{"A-134", "_User", `"where":{"authData.anonymous.id":{"$regex":"^a"}}`, parse.OperationForbidden},
			{"GHSA-2m6g-crv8-p3c6", "_User", `"where":{"_hashed_password":{"$regex":"^a"}}`, parse.InvalidKeyName},
			{"GHSA-827p-g5x5-h86c", "Pub", `"where":{"a":{"$regex":"["}}`, parse.InvalidQuery},
			{"GHSA-827p-g5x5-h86c", "Pub", `"where":{"a":{"$in":{"x":1}}}`, parse.InvalidJSON},
			{"GHSA-fjxm-vhvc-gcmj", "Pub", `"where":{"list":{"$all":5}}`, parse.InvalidJSON},
			{"GHSA-fjxm-vhvc-gcmj", "Pub", `"where":{"a":{"$nearSphere":"x"}}`, parse.InvalidJSON},
		} {
			if f := l.subscribe(10+i, tt.class, tt.query); f.Op != "error" || f.Code != tt.code {
				t.Errorf("%s %s: %+v, want error %d", tt.id, tt.query, f, tt.code)
			}
		}
		if f := dial(t, s, "Pub", "").subscribe(2, "_Session", `"where":{}`); f.Op != "error" || f.Code != parse.InvalidSessionToken {
			t.Errorf("GHSA-7ch5-98q2-7289, sessions of nobody: %+v", f)
		}
		l.send(`{"op":"subscribe","requestId":99,"query":{"className":"Pub","where":` + strings.Repeat(`{"$and":[`, 20_000) + `{}` + strings.Repeat(`]}`, 20_000) + `}}`)
		if f := l.next(); f.Op != "error" || f.Code != 1 || f.Error != "JSON is nested deeper than 128 levels" {
			t.Errorf("a deep message: %+v", f)
		}
		if f := l.subscribe(100, "Pub", `"where":{"a":"never"}`); f.Op != "subscribed" || f.RequestID != 100 {
			t.Errorf("after a deep message: %+v", f)
		}
		// All of that has ended nobody's subscription.
		other := dial(t, s, "Pub", "")
		do("PUT", "/classes/Pub/{{pub}}", "", `{"n":2}`)
		if f := other.next(); f.Op != "update" || f.Object["n"] != 2.0 {
			t.Errorf("others: %+v", f)
		}
	})
}

// TestAdvisory_Events: events tell what a find would tell the same caller.
func TestAdvisory_Events(t *testing.T) {
	onGuarded(t, func(t *testing.T, s *scenario.Server, do func(method, path, as, body string)) {
		do("POST", "/schemas/Own", "master", `{"className":"Own","fields":{"owner":{"type":"Pointer","targetClass":"_User"},"n":{"type":"Number"}},"classLevelPermissions":{"find":{},"get":{},"count":{},"create":{"*":true},"update":{"*":true},"readUserFields":["owner"]}}`)
		attacker := dial(t, s, "Doc", s.Var("attacker.token"))
		stranger := dial(t, s, "Pub", "r:forged")

		// GHSA-crrq-vr9j-fxxh: protected fields, before and after.
		do("PUT", "/classes/Doc/{{doc}}", "master", `{"secret":"new","open":"y"}`)
		if f := attacker.next(); f.Op != "update" || f.Object["open"] != "y" || f.Object["secret"] != nil || f.Original["secret"] != nil || f.Object["secretObj"] != nil {
			t.Errorf("protected fields: %+v", f)
		}

		// GHSA-2xm2-xj2q-qgpj: a forged token has public rights.
		do("POST", "/classes/Pub", "victim", `{"n":7,"ACL":{"{{victim.id}}":{"read":true}}}`)
		do("PUT", "/classes/Pub/{{pub}}", "", `{"n":8}`)
		if f := stranger.next(); f.Op != "update" || f.Object["n"] != 8.0 {
			t.Errorf("forged token: %+v", f)
		}

		// GHSA-7pr3-p5fm-8r9x: users without what they log in with.
		if f := attacker.subscribe(2, "_User", `"where":{}`); f.Op != "subscribed" {
			t.Fatalf("_User: %+v", f)
		}
		do("PUT", "/users/{{victim.id}}", "victim", `{"ACL":{"*":{"read":true},"{{victim.id}}":{"read":true,"write":true}}}`)
		do("PUT", "/users/{{victim.id}}", "victim", `{"authData":{"anonymous":{"id":"bearer"}}}`)
		for f := attacker.next(); ; f = attacker.next() {
			for _, o := range []map[string]any{f.Object, f.Original} {
				for _, k := range []string{"sessionToken", "authData", "email", "password", "_hashed_password"} {
					if o[k] != nil {
						t.Errorf("%s of a user: %+v", k, f)
					}
				}
			}
			if f.Op == "update" {
				break
			}
		}

		// GHSA-fph2-r4qg-9576: an object of pointer permissions is its owner's.
		if f := attacker.subscribe(3, "Own", `"where":{}`); f.Op != "subscribed" {
			t.Fatalf("Own: %+v", f)
		}
		for i, who := range []string{"victim", "attacker"} {
			do("POST", "/classes/Own", who, fmt.Sprintf(`{"n":%d,"owner":{"__type":"Pointer","className":"_User","objectId":"{{%s.id}}"}}`, i+1, who))
		}
		if f := attacker.next(); f.RequestID != 3 || f.Object["n"] != 2.0 {
			t.Errorf("pointer permissions: %+v", f)
		}
	})
}

// TestAdvisory_GHSA_97pr_9hgg_3p8r: who loses the right to read hears of the
// old state alone, and then nothing until he has it again.
func TestAdvisory_GHSA_97pr_9hgg_3p8r(t *testing.T) {
	onGuarded(t, func(t *testing.T, s *scenario.Server, do func(method, path, as, body string)) {
		l := dial(t, s, "Pub", s.Var("attacker.token"))
		do("PUT", "/classes/Pub/{{pub}}", "victim", `{"n":10,"ACL":{"{{victim.id}}":{"read":true,"write":true}}}`)
		if f := l.next(); f.Op != "leave" || f.Object["n"] == 10.0 {
			t.Errorf("%+v", f)
		}
		do("PUT", "/classes/Pub/{{pub}}", "victim", `{"n":11}`)
		do("PUT", "/classes/Pub/{{pub}}", "victim", `{"n":12,"ACL":{"*":{"read":true}}}`)
		if f := l.next(); f.Op != "enter" || f.Object["n"] != 12.0 || f.Original["n"] == 11.0 {
			t.Errorf("%+v", f)
		}
	})
}

// TestAdvisory_PR_10499: a request id that is used again takes the place of its subscription.
func TestAdvisory_PR_10499(t *testing.T) {
	onGuarded(t, func(t *testing.T, s *scenario.Server, do func(method, path, as, body string)) {
		l := dial(t, s, "Pub", "")
		for range 3 {
			if f := l.subscribe(1, "Pub", `"where":{}`); f.Op != "subscribed" {
				t.Fatalf("%+v", f)
			}
		}
		for n := 20.0; n < 23; n++ {
			do("PUT", "/classes/Pub/{{pub}}", "", fmt.Sprintf(`{"n":%v}`, n))
			if f := l.next(); f.Object["n"] != n {
				t.Errorf("want one event of %v, got %+v", n, f)
			}
		}
	})
}
