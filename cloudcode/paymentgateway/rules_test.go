package paymentgateway_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/paymentgateway"
	"github.com/pargo-baas/pargo/parse"
)

func newWorld(p paymentgateway.Processor) *world {
	app := cloudcode.New()
	paymentgateway.Register(app, paymentgateway.Options{Processor: p, Now: func() time.Time { return now }})
	return &world{app: app, rows: map[string][]*parse.Object{}, fail: map[string]error{}}
}

func fields(kv ...any) *parse.Map {
	m := &parse.Map{}
	for i := 0; i < len(kv); i += 2 {
		m.Set(kv[i].(string), kv[i+1])
	}
	return m
}

func TestCreateRules(t *testing.T) {
	later := func(d time.Duration) parse.Date { return parse.NewDate(now.Add(d)) }
	for name, tt := range map[string]struct {
		class  string
		fields *parse.Map
		master bool
		code   parse.Code
	}{
		"pending":                {"TransactionHistory", fields("amount", 12.5, "status", "pending", "timestamp", later(0)), false, 0},
		"status defaults":        {"TransactionHistory", fields("amount", 12.5), false, 0},
		"completed by client":    {"TransactionHistory", fields("amount", 1.0, "status", "completed"), false, 119},
		"completed by master":    {"TransactionHistory", fields("amount", 1.0, "status", "completed"), true, 0},
		"unknown status":         {"TransactionHistory", fields("amount", 1.0, "status", "done"), true, 142},
		"status of other type":   {"Transaction", fields("status", 5.0), false, 111},
		"zero":                   {"TransactionHistory", fields("amount", 0.0), false, 142},
		"negative":               {"Payment", fields("amount", -1.0), false, 142},
		"three decimals":         {"Transaction", fields("amount", 1.234), true, 142},
		"infinite":               {"Transaction", fields("amount", math.Inf(1)), false, 142},
		"huge integer":           {"Transaction", fields("amount", parse.Int(math.MaxInt64)), false, 142},
		"clock a little ahead":   {"TransactionHistory", fields("amount", 1.0, "timestamp", later(59*time.Second)), false, 0},
		"future":                 {"TransactionHistory", fields("amount", 1.0, "timestamp", later(61*time.Second)), false, 142},
		"future date":            {"Transaction", fields("date", later(time.Hour)), false, 142},
		"future notification":    {"Notification", fields("sent_at", later(time.Hour)), false, 142},
		"future log":             {"AccessLog", fields("timestamp", later(time.Hour)), false, 142},
		"card in description":    {"Payment", fields("amount", 1.0, "description", "my card 4242-4242-4242-4242"), false, 142},
		"card in transaction":    {"Transaction", fields("description", "4242424242424242"), true, 142},
		"card as method":         {"Payment", fields("payment_method", "4242424242424242"), false, 142},
		"own transaction id":     {"Payment", fields("amount", 1.0, "transaction_id", "T-1"), false, 0},
		"reserved id":            {"Payment", fields("amount", 1.0, "transaction_id", "pay_1"), false, 119},
		"default of refund":      {"Payment", fields("amount", 1.0, "refunded_amount", 0.0), false, 0},
		"forged refund":          {"Payment", fields("amount", 1.0, "refunded_amount", 1.0), false, 119},
		"forged key":             {"Payment", fields("amount", 1.0, "idempotency_key", "k"), false, 119},
		"joins another's charge": {"TransactionHistory", fields("amount", 1.0, "payment", parse.Pointer{ClassName: "Payment", ObjectID: "p"}), false, 119},
		"role":                   {"_User", fields("username", "a"), false, 0},
		"role client":            {"_User", fields("role", "client"), false, 0},
		"role admin":             {"_User", fields("role", "admin"), false, 119},
		"role of other type":     {"_User", fields("role", true), false, 111},
		"role admin by master":   {"_User", fields("role", "admin"), true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(nil)
			c := w.as("alice")
			if tt.master {
				c = w.master()
			}
			o, err := c.Create(t.Context(), tt.class, tt.fields)
			if parse.CodeOf(err) != tt.code || (err == nil) != (tt.code == 0) {
				t.Fatalf("got %v, want %d", err, tt.code)
			}
			if err != nil && len(w.all(tt.class)) != 0 {
				t.Error("refused, but stored")
			}
			if err == nil && tt.class == "_User" && o.String("role") == "" {
				t.Error("no role")
			}
			if err == nil && tt.class == "TransactionHistory" && !tt.master && o.String("status") != "pending" {
				t.Error(o.String("status"))
			}
		})
	}
}

func TestUpdateAndDeleteRules(t *testing.T) {
	ctx := t.Context()
	w := newWorld(nil)
	alice := w.as("alice")
	for _, from := range paymentgateway.Statuses() {
		for _, to := range paymentgateway.Statuses() {
			for _, master := range []bool{false, true} {
				o, err := w.master().Create(ctx, "TransactionHistory", fields("user", user("alice").Self(), "amount", 1.0, "status", from))
				if err != nil {
					t.Fatal(err)
				}
				c, legal := alice, from == "pending" && (to == "pending" || to == "cancelled")
				if master {
					c, legal = w.master(), paymentgateway.CanTransition(from, to)
				}
				if _, err = c.Update(ctx, "TransactionHistory", o.ID, fields("status", to)); (err == nil) != legal {
					t.Errorf("%s → %s, master %v: %v", from, to, master, err)
				}
			}
		}
		o, err := w.master().Create(ctx, "Payment", fields("user", user("alice").Self(), "amount", 1.0, "status", from))
		if err != nil {
			t.Fatal(err)
		}
		_, err = alice.Update(ctx, "Payment", o.ID, fields("amount", 2.0))
		if (err == nil) != (from == "pending") {
			t.Errorf("amount of %s: %v", from, err)
		}
		err = alice.Delete(ctx, "Payment", o.ID)
		if free := from == "pending" || from == "failed" || from == "cancelled"; (err == nil) != free {
			t.Errorf("delete of %s: %v", from, err)
		}
	}
	o, _ := alice.Create(ctx, "Transaction", fields("amount", 1.0))
	if _, err := alice.Update(ctx, "Transaction", o.ID, fields("status", parse.Delete{})); parse.CodeOf(err) != 142 {
		t.Error("status removed:", err)
	}
	u, _ := alice.Create(ctx, "_User", fields("username", "alice"))
	for _, role := range []any{"admin", parse.Delete{}, nil} {
		if _, err := alice.Update(ctx, "_User", u.ID, fields("role", role)); parse.CodeOf(err) != 119 {
			t.Errorf("role %v: %v", role, err)
		}
	}
	if _, err := alice.Update(ctx, "_User", u.ID, fields("role", "client", "email", "a@example.com")); err != nil {
		t.Error(err)
	}
	if _, err := w.master().Update(ctx, "_User", u.ID, fields("role", "admin")); err != nil {
		t.Error(err)
	}
}

func TestAccessLog(t *testing.T) {
	ctx := t.Context()
	w := newWorld(nil)
	alice := w.as("alice")
	entry, err := alice.Create(ctx, "AccessLog", fields("action", "looked", "timestamp", parse.NewDate(now)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Update(ctx, "AccessLog", entry.ID, fields("action", "x")); parse.CodeOf(err) != 119 {
		t.Error(err)
	}
	if err := alice.Delete(ctx, "AccessLog", entry.ID); parse.CodeOf(err) != 119 {
		t.Error(err)
	}
	method, _ := alice.Create(ctx, "PaymentMethod", fields("type", "card", "details", "4242 4242 4242 4242"))
	if got := method.String("details"); got != "**** **** **** 4242" {
		t.Error(got)
	}
	if _, err := alice.Update(ctx, "PaymentMethod", method.ID, fields("type", "debit")); err != nil {
		t.Error(err)
	}
	if err := alice.Delete(ctx, "PaymentMethod", method.ID); err != nil {
		t.Error(err)
	}
	session := &parse.Object{ClassName: "_Session"}
	session.Set("user", user("alice").Self())
	if err := errors.Join(
		w.app.RunAfterLogin(ctx, &cloudcode.LoginRequest{Request: cloudcode.Request{Client: alice}, User: user("alice")}),
		w.app.RunAfterLogout(ctx, &cloudcode.LogoutRequest{Request: cloudcode.Request{Client: alice}, Session: session}),
	); err != nil {
		t.Error(err)
	}
	var actions []string
	for _, e := range w.all("AccessLog") {
		if p, _ := e.Pointer("user"); p.ObjectID != "alice" {
			t.Errorf("entry of %v", p)
		}
		actions = append(actions, strings.TrimSuffix(e.String("action"), " "+method.ID))
	}
	want := []string{"looked", "create PaymentMethod", "update PaymentMethod", "delete PaymentMethod", "login", "logout"}
	if diff := cmp.Diff(want, actions); diff != "" {
		t.Error(diff)
	}

	var log bytes.Buffer
	w.app.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	w.fail["AccessLog"] = errors.New("disk full")
	if _, err := alice.Create(ctx, "PaymentMethod", fields("type", "card", "details", "x")); err != nil {
		t.Error("a lost entry fails the request:", err)
	}
	if !strings.Contains(log.String(), "disk full") {
		t.Error("a lost entry is not reported")
	}
}

func TestCents(t *testing.T) {
	x, y := 0.1, 0.2
	for amount, want := range map[float64]int64{
		0.01: 1, 1: 100, 12.5: 1250, 19.99: 1999, x + y: 30, 1.1 * 3: 330, 999999999999.99: 99999999999999, 0.29: 29, 4.35: 435,
		0: 0, -1: 0, 0.001: 0, 0.015: 0, 1.234: 0, 1e12: 0, 1e300: 0, 5e-324: 0, math.Inf(1): 0, math.Inf(-1): 0, 999999999999.001: 0,
	} {
		got, ok := paymentgateway.Cents(amount)
		if got != want || ok != (want > 0) {
			t.Errorf("%v: %d %v, want %d", amount, got, ok, want)
		}
	}
	if _, ok := paymentgateway.Cents(math.NaN()); ok {
		t.Error("NaN")
	}
}

func TestMaskCards(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"4242424242424242":                  "************4242",
		"4242-4242-4242-4242":               "****-****-****-4242",
		"4242\u00a04242 4242\u20134242":     "****\u00a0**** ****\u20134242",
		"x4242424242424242y":                "x************4242y",
		"4242 4242 4242 4242 12/27":         "**** **** **** 4242 12/27",
		"378282246310005 and 4222222222222": "***********0005 and *********2222",
		"0000042424242424242420000":         paymentgateway.MaskCards("0000042424242424242420000"),
		"4242424242424243":                  "4242424242424243",
		"424242424242":                      "424242424242",
		"4242.4242.4242.4242":               "4242.4242.4242.4242",
		"tok_approve":                       "tok_approve",
		"**** **** **** 4242":               "**** **** **** 4242",
	} {
		if got := paymentgateway.MaskCards(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if paymentgateway.HasCard(want) {
			t.Errorf("%q still has a card", want)
		}
	}
}

func FuzzMaskCards(f *testing.F) {
	for _, s := range []string{"4242 4242 4242 4242", "42424242424242421227 1", "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0", "1-2é3\xff4", "4242424242424242 4242424242424242"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		masked := paymentgateway.MaskCards(s)
		if paymentgateway.HasCard(masked) {
			t.Errorf("%q: %q has a card", s, masked)
		}
		if len(masked) != len(s) || paymentgateway.HasCard(s) == (masked == s) {
			t.Errorf("%q: %q", s, masked)
		}
		if again := paymentgateway.MaskCards(masked); again != masked {
			t.Errorf("%q, then %q", masked, again)
		}
	})
}
