package paymentgateway_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode/paymentgateway"
	"github.com/pargo-baas/pargo/parse"
)

// counting counts what reaches the sandbox.
type counting struct {
	paymentgateway.Sandbox
	charges atomic.Int32
	refunds sync.Map
	err     error
}

func (c *counting) Charge(ctx context.Context, r paymentgateway.ChargeRequest) (paymentgateway.Result, error) {
	c.charges.Add(1)
	if c.err != nil {
		return paymentgateway.Result{}, c.err
	}
	return c.Sandbox.Charge(ctx, r)
}

func (c *counting) Refund(ctx context.Context, r paymentgateway.RefundRequest) (paymentgateway.Result, error) {
	if c.err != nil {
		return paymentgateway.Result{}, c.err
	}
	c.refunds.Store(r.RefundID, r.Cents)
	return c.Sandbox.Refund(ctx, r)
}

func addMethod(t *testing.T, c *client, details string) string {
	t.Helper()
	m, err := c.Create(t.Context(), "PaymentMethod", fields("type", "card", "details", details))
	if err != nil {
		t.Fatal(err)
	}
	return m.ID
}

func wire(m *parse.Map) string { return string(parse.AppendJSON(nil, m)) }

// statuses are those of all objects that a payment leaves.
func (w *world) statuses() []string {
	var out []string
	for _, class := range []string{"Payment", "Transaction", "TransactionHistory"} {
		for _, o := range w.all(class) {
			out = append(out, o.String("status"))
		}
	}
	return out
}

func TestProcessPayment(t *testing.T) {
	for details, want := range map[string]struct{ first, again string }{
		paymentgateway.TokenApprove: {"completed", "completed"},
		paymentgateway.TokenDecline: {"failed", "failed"},
		paymentgateway.TokenTimeout: {"processing", "completed"},
		"4242 4242 4242 4242":       {"completed", "completed"},
		"4000000000000002":          {"failed", "failed"},
		"4000 0000 0000 0119":       {"processing", "completed"},
	} {
		t.Run(details, func(t *testing.T) {
			w, ctx := newWorld(nil), t.Context()
			alice := w.as("alice")
			params := fields("amount", 20.0, "paymentMethod", addMethod(t, alice, details), "idempotencyKey", "k", "description", "a book")
			for i, status := range []string{want.first, want.again, want.again} {
				got, err := alice.call(ctx, "processPayment", params)
				if err != nil {
					t.Fatal(err)
				}
				if got.String("status") != status {
					t.Errorf("call %d: %s, want %s", i, wire(got), status)
				}
				if diff := cmp.Diff([]string{status, status, status}, w.statuses()); diff != "" {
					t.Error(diff)
				}
			}
			if notes := len(w.all("Notification")); notes != 2 {
				t.Errorf("%d notifications", notes)
			}
			if log := len(w.all("AccessLog")); log != 3 { // the method, open, outcome
				t.Errorf("%d entries in the log", log)
			}
		})
	}
}

func TestProcessPaymentRefusals(t *testing.T) {
	w, ctx := newWorld(nil), t.Context()
	alice, bob := w.as("alice"), w.as("bob", "admin")
	method := addMethod(t, alice, "tok_approve")
	with := func(k string, v any) *parse.Map {
		m := fields("amount", 20.0, "paymentMethod", method, "idempotencyKey", "k")
		m.Set(k, v)
		return m
	}
	for name, tt := range map[string]struct {
		c      *client
		params *parse.Map
		code   parse.Code
	}{
		"nobody":            {&client{w: w}, with("x", 1.0), 206},
		"master alone":      {w.master(), with("x", 1.0), 206},
		"no amount":         {alice, with("amount", nil), 142},
		"string amount":     {alice, with("amount", "20"), 142},
		"tiny amount":       {alice, with("amount", 0.001), 142},
		"no method":         {alice, with("paymentMethod", nil), 142},
		"other class":       {alice, with("paymentMethod", parse.Pointer{ClassName: "Payment", ObjectID: method}), 142},
		"unknown method":    {alice, with("paymentMethod", "none"), 101},
		"method of another": {bob, with("x", 1.0), 101},
		"no key":            {alice, with("idempotencyKey", ""), 142},
		"long key":          {alice, with("idempotencyKey", strings.Repeat("k", 129)), 142},
		"card":              {alice, with("description", "4242424242424242"), 142},
		"long description":  {alice, with("description", strings.Repeat("k", 1001)), 142},
		"odd description":   {alice, with("description", 1.0), 142},
	} {
		if _, err := tt.c.call(ctx, "processPayment", tt.params); parse.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want %d", name, err, tt.code)
		}
	}
	if n := len(w.all("Payment")); n != 0 {
		t.Fatalf("%d payments", n)
	}
	if _, err := alice.call(ctx, "processPayment", with("paymentMethod", parse.Pointer{ClassName: "PaymentMethod", ObjectID: method})); err != nil {
		t.Fatal(err)
	}
	for name, params := range map[string]*parse.Map{"amount": with("amount", 21.0), "method": with("paymentMethod", addMethod(t, alice, "x"))} {
		if _, err := alice.call(ctx, "processPayment", params); parse.CodeOf(err) != parse.DuplicateRequest {
			t.Errorf("same key, other %s: %v", name, err)
		}
	}
	other := fields("amount", 5.0, "paymentMethod", addMethod(t, bob, "x"), "idempotencyKey", "k")
	if _, err := bob.call(ctx, "processPayment", other); err != nil {
		t.Errorf("the key of another user: %v", err)
	}
}

func TestProcessPaymentIsStoredWholeOrNotAtAll(t *testing.T) {
	for _, class := range []string{"Transaction", "TransactionHistory", "Notification", "AccessLog"} {
		p := &counting{}
		w := newWorld(p)
		alice := w.as("alice")
		params := fields("amount", 20.0, "paymentMethod", addMethod(t, alice, "x"), "idempotencyKey", "k")
		w.fail[class] = errors.New("disk full")
		_, err := alice.call(t.Context(), "processPayment", params)
		var pe *parse.Error
		if !errors.As(err, &pe) || strings.Contains(pe.Message, "disk") {
			t.Errorf("%s: %v", class, err)
		}
		if s := w.statuses(); len(s) != 0 || p.charges.Load() != 0 {
			t.Errorf("%s: %v, %d charges", class, s, p.charges.Load())
		}
		delete(w.fail, class)
		if got, err := alice.call(t.Context(), "processPayment", params); err != nil || got.String("status") != "completed" {
			t.Error(got, err)
		}
	}
}

func TestProcessorFails(t *testing.T) {
	p := &counting{err: errors.New("connection reset")}
	w, ctx := newWorld(p), t.Context()
	alice := w.as("alice")
	params := fields("amount", 20.0, "paymentMethod", addMethod(t, alice, "x"), "idempotencyKey", "k")
	got, err := alice.call(ctx, "processPayment", params)
	if err != nil || got.String("status") != "processing" {
		t.Fatal(got, err)
	}
	if err := alice.Delete(ctx, "Payment", got.String("payment")); parse.CodeOf(err) != 119 {
		t.Error("a payment under way was deleted:", err)
	}
	p.err = nil
	if got, err = alice.call(ctx, "processPayment", params); err != nil || got.String("status") != "completed" {
		t.Fatal(got, err)
	}
	p.err = errors.New("connection reset")
	if _, err = alice.call(ctx, "refund", fields("payment", got.String("payment"))); parse.CodeOf(err) != 141 {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"completed", "completed", "completed"}, w.statuses()); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentCallsChargeOnce(t *testing.T) {
	p := &counting{}
	w := newWorld(p)
	alice := w.as("alice")
	params := fields("amount", 20.0, "paymentMethod", addMethod(t, alice, "tok_approve"), "idempotencyKey", "k")
	var wg sync.WaitGroup
	answers := make([]string, 16)
	for i := range answers {
		wg.Go(func() {
			got, err := alice.call(t.Context(), "processPayment", params)
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = wire(got)
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] || !strings.Contains(a, "completed") {
			t.Error(a)
		}
	}
	if p.charges.Load() != 1 || len(w.all("Payment")) != 1 {
		t.Errorf("%d charges, %d payments", p.charges.Load(), len(w.all("Payment")))
	}
}

func TestRefund(t *testing.T) {
	p := &counting{}
	w, ctx := newWorld(p), t.Context()
	alice, bob, carol := w.as("alice"), w.as("bob"), w.as("carol", "admin")
	paid, err := alice.call(ctx, "processPayment", fields("amount", 20.0, "paymentMethod", addMethod(t, alice, "x"), "idempotencyKey", "k"))
	if err != nil {
		t.Fatal(err)
	}
	id := paid.String("payment")
	for i, step := range []struct {
		c        *client
		amount   any
		code     parse.Code
		status   string
		refunded float64
	}{
		{bob, nil, 101, "", 0},
		{&client{w: w}, nil, 206, "", 0},
		{alice, 20.01, 142, "", 0},
		{alice, -1.0, 142, "", 0},
		{alice, 0.1, 0, "completed", 0.1},
		{carol, 0.2, 0, "completed", 0.3},
		{alice, 19.71, 142, "", 0},
		{w.master(), nil, 0, "refunded", 20},
		{alice, nil, 142, "", 0},
	} {
		got, err := step.c.call(ctx, "refund", fields("payment", parse.Pointer{ClassName: "Payment", ObjectID: id}, "amount", step.amount))
		if parse.CodeOf(err) != step.code {
			t.Errorf("step %d: %v, want %d", i, err, step.code)
			continue
		}
		if err == nil {
			refunded, _ := got.Get("refundedAmount")
			if got.String("status") != step.status || refunded != step.refunded {
				t.Errorf("step %d: %s", i, wire(got))
			}
		}
	}
	if diff := cmp.Diff([]string{"refunded", "refunded", "refunded"}, w.statuses()); diff != "" {
		t.Error(diff)
	}
	sum := int64(0)
	p.refunds.Range(func(_, cents any) bool { sum += cents.(int64); return true })
	if sum != 2000 {
		t.Errorf("%d cents refunded", sum)
	}
}

func TestConcurrentRefunds(t *testing.T) {
	p := &counting{}
	w := newWorld(p)
	alice := w.as("alice")
	paid, err := alice.call(t.Context(), "processPayment", fields("amount", 20.0, "paymentMethod", addMethod(t, alice, "x"), "idempotencyKey", "k"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var ok atomic.Int32
	for range 8 {
		wg.Go(func() {
			if _, err := alice.call(t.Context(), "refund", fields("payment", paid.String("payment"), "amount", 5.0)); err == nil {
				ok.Add(1)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 4 {
		t.Errorf("%d refunds of 5 out of 20", ok.Load())
	}
}

func TestTransactionSummary(t *testing.T) {
	w, ctx := newWorld(nil), t.Context()
	add := func(owner, status string, amount float64, date string) {
		d, _ := parse.ParseDate(date)
		if _, err := w.master().Create(ctx, "TransactionHistory", fields("user", user(owner).Self(), "status", status, "amount", amount, "timestamp", d)); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		add("alice", "completed", 0.1, "2026-01-31T23:59:59.999Z")
	}
	add("bob", "completed", 100, "2026-01-02")
	add("alice", "failed", 5, "2026-02-01")
	got, err := w.as("alice", "admin").call(ctx, "transactionSummary", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"byStatus":{"completed":{"count":4,"total":0.4},"failed":{"count":1,"total":5}},"byMonth":[` +
		`{"month":"2026-01","count":4,"total":0.4,"byStatus":{"completed":{"count":4,"total":0.4}}},` +
		`{"month":"2026-02","count":1,"total":5,"byStatus":{"failed":{"count":1,"total":5}}}],"count":5,"total":5.4}`
	if diff := cmp.Diff(want, wire(got)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.master().call(ctx, "transactionSummary", nil); parse.CodeOf(err) != 206 {
		t.Error(err)
	}
}
