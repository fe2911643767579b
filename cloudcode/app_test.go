package cloudcode_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

func TestHookErrors(t *testing.T) {
	cause := errors.New("boom")
	for name, tt := range map[string]struct {
		hook    func(context.Context, *cloudcode.SaveRequest) error
		code    parse.Code
		message string
		cause   error
	}{
		"none":          {func(context.Context, *cloudcode.SaveRequest) error { return nil }, 0, "", nil},
		"parse error":   {func(context.Context, *cloudcode.SaveRequest) error { return cloudcode.Err(142, "no %s", "x") }, 142, "no x", nil},
		"wrapped":       {func(context.Context, *cloudcode.SaveRequest) error { return fmt.Errorf("in: %w", parse.ErrNotFound()) }, 101, "Object not found.", nil},
		"plain":         {func(context.Context, *cloudcode.SaveRequest) error { return cause }, 141, "boom", cause},
		"panic":         {func(context.Context, *cloudcode.SaveRequest) error { panic("secret") }, 141, "Script failed. Unknown error. Request id: r1", nil},
		"panic, error":  {func(context.Context, *cloudcode.SaveRequest) error { panic(cause) }, 141, "Script failed. Unknown error. Request id: r1", cause},
		"nil reference": {func(_ context.Context, r *cloudcode.SaveRequest) error { return cloudcode.Err(1, "%s", r.Original.ID) }, 141, "Script failed. Unknown error. Request id: r1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			app := cloudcode.New()
			app.BeforeSave("C", tt.hook)
			ctx := cloudcode.WithOrigin(t.Context(), &cloudcode.Origin{RequestID: "r1"})
			err := app.RunBeforeSave(ctx, &cloudcode.SaveRequest{Class: "C"})
			if tt.code == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var pe *parse.Error
			if !errors.As(err, &pe) || pe.Code != tt.code || pe.Message != tt.message {
				t.Fatalf("got %v, want %d %q", err, tt.code, tt.message)
			}
			if tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("the cause is lost: %v", err)
			}
			var panicked *cloudcode.PanicError
			if strings.HasPrefix(name, "panic") && (!errors.As(err, &panicked) || !strings.Contains(string(panicked.Stack), "app_test.go")) {
				t.Errorf("no stack in %v", err)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	app := cloudcode.New()
	var ran []int
	hook := func(n int, err error) func(context.Context, *cloudcode.SaveRequest) error {
		return func(context.Context, *cloudcode.SaveRequest) error {
			ran = append(ran, n)
			return err
		}
	}
	no := cloudcode.Err(142, "no")
	for n, err := range []error{nil, no, cloudcode.Err(119, "later")} {
		app.BeforeSave("C", hook(n, err))
		app.AfterSave("C", hook(n, err))
	}
	r := &cloudcode.SaveRequest{Class: "C"}
	if err := app.RunBeforeSave(t.Context(), r); !errors.Is(err, no) {
		t.Error(err)
	}
	if diff := cmp.Diff([]int{0, 1}, ran); diff != "" {
		t.Error("before: ", diff)
	}
	ran = nil
	if err := app.RunAfterSave(t.Context(), r); parse.CodeOf(err) != 142 || !strings.Contains(err.Error(), "later") {
		t.Error(err)
	}
	if diff := cmp.Diff([]int{0, 1, 2}, ran); diff != "" {
		t.Error("after: ", diff)
	}
	if err := app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "Other"}); err != nil {
		t.Error(err)
	}
}

func TestEveryHook(t *testing.T) {
	app, ctx := cloudcode.New(), t.Context()
	var none *cloudcode.App
	var ran []string
	note := func(s string) error { ran = append(ran, s); return nil }
	has := func(a *cloudcode.App) []bool {
		return []bool{
			a.HasBeforeSave("C"), a.HasAfterSave("C"), a.HasBeforeDelete("C"), a.HasAfterDelete("C"), a.HasBeforeFind("C"),
			a.HasAfterFind("C"), a.HasFunction("f"),
		}
	}
	if diff := cmp.Diff(make([]bool, 7), has(app)); diff != "" {
		t.Error(diff)
	}
	app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { return note("bs") })
	app.AfterSave("C", func(context.Context, *cloudcode.SaveRequest) error { return note("as") })
	app.BeforeDelete("C", func(context.Context, *cloudcode.DeleteRequest) error { return note("bd") })
	app.AfterDelete("C", func(context.Context, *cloudcode.DeleteRequest) error { return note("ad") })
	app.BeforeFind("C", func(_ context.Context, r *cloudcode.FindRequest) error { r.Query = nil; return note("bf") })
	app.AfterFind("C", func(_ context.Context, r *cloudcode.FoundRequest) error { r.Objects = nil; return note("af") })
	app.BeforeLogin(func(context.Context, *cloudcode.LoginRequest) error { return note("bl") })
	app.AfterLogin(func(context.Context, *cloudcode.LoginRequest) error { return note("al") })
	app.AfterLogout(func(context.Context, *cloudcode.LogoutRequest) error { return note("ao") })
	app.Function("f", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return "old", nil })
	app.Function("f", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return "v", note("f") })
	for _, have := range has(app) {
		if !have {
			t.Error(has(app))
		}
	}
	for _, a := range []*cloudcode.App{none, app} {
		find := &cloudcode.FindRequest{Class: "C", Query: &query.Query{Limit: 3}}
		found := &cloudcode.FoundRequest{Class: "C", Objects: []*parse.Object{{ID: "a"}}}
		for _, err := range []error{
			a.RunBeforeSave(ctx, &cloudcode.SaveRequest{Class: "C"}), a.RunAfterSave(ctx, &cloudcode.SaveRequest{Class: "C"}),
			a.RunBeforeDelete(ctx, &cloudcode.DeleteRequest{Class: "C"}), a.RunAfterDelete(ctx, &cloudcode.DeleteRequest{Class: "C"}),
			a.RunBeforeFind(ctx, find), a.RunAfterFind(ctx, found),
			a.RunBeforeLogin(ctx, &cloudcode.LoginRequest{}), a.RunAfterLogin(ctx, &cloudcode.LoginRequest{}),
			a.RunAfterLogout(ctx, &cloudcode.LogoutRequest{}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		if find.Query == nil || find.Query.Limit != 3 {
			t.Errorf("a hook left no query: %v", find.Query)
		}
		if len(found.Objects) != 0 && a != nil {
			t.Error("AfterFind could not replace the objects")
		}
	}
	if v, err := app.RunFunction(ctx, &cloudcode.FunctionRequest{Name: "f"}); v != "v" || err != nil {
		t.Error(v, err)
	}
	if diff := cmp.Diff([]string{"bs", "as", "bd", "ad", "bf", "af", "bl", "al", "ao", "f"}, ran); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"f"}, app.Functions()); diff != "" {
		t.Error(diff)
	}
}

func TestFunctionErrors(t *testing.T) {
	app := cloudcode.New()
	app.Function("plain", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return 1, errors.New("text") })
	app.Function("panic", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { panic("x") })
	for name, want := range map[string]string{
		"plain": "parse error 141: text", "panic": "parse error 141: Script failed. Request id: r1", "no.such": `parse error 141: Invalid function: "no.such"`,
	} {
		ctx := cloudcode.WithOrigin(t.Context(), &cloudcode.Origin{RequestID: "r1"})
		v, err := app.RunFunction(ctx, &cloudcode.FunctionRequest{Name: name})
		if v != nil || err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

func TestRegisterWhileServing(t *testing.T) {
	app := cloudcode.New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { return nil })
			app.Function("f", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return nil, nil })
			for range 100 {
				_ = app.HasFunction("f")
				if err := app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "C"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func ExampleApp_BeforeSave() {
	app := cloudcode.New()
	app.BeforeSave("Review", func(_ context.Context, r *cloudcode.SaveRequest) error {
		if stars, _ := r.Object.Number("stars"); stars < 1 || stars > 5 {
			return cloudcode.Err(parse.ValidationError, "stars must be between 1 and 5")
		}
		if r.IsNew() {
			r.Object.Set("state", "new")
		}
		return nil
	})
	review := &parse.Object{ClassName: "Review"}
	review.Set("stars", float64(9))
	fmt.Println(app.RunBeforeSave(context.Background(), &cloudcode.SaveRequest{Class: "Review", Object: review}))
	// Output: parse error 142: stars must be between 1 and 5
}

func ExampleApp_Function() {
	app := cloudcode.New()
	app.Function("hello", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
		return "Hello, " + r.Params.String("name"), nil
	})
	fmt.Println(app.RunFunction(context.Background(), &cloudcode.FunctionRequest{
		Name: "hello", Params: parse.NewMap(parse.MapField{Key: "name", Value: "Ada"}),
	}))
	// Output: Hello, Ada <nil>
}

func BenchmarkHasBeforeSave(b *testing.B) {
	app := cloudcode.New()
	app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { return nil })
	for b.Loop() {
		if app.HasBeforeSave("D") || !app.HasBeforeSave("C") {
			b.Fatal()
		}
	}
}
