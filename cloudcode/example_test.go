package cloudcode_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// A hook on a struct: what it changes is stored.
func ExampleBeforeSave() {
	type Movie struct {
		Title string
		Year  int
	}
	app := cloudcode.New()
	cloudcode.BeforeSave(app, func(_ context.Context, r *cloudcode.Save[Movie]) error {
		if r.Object.Year < 1888 {
			return cloudcode.Err(parse.ValidationError, "there were no films in %d", r.Object.Year)
		}
		return nil
	})

	old := &parse.Object{ClassName: "Movie"}
	old.Set("year", 1801.0)
	fmt.Println(app.RunBeforeSave(context.Background(), &cloudcode.SaveRequest{Class: "Movie", Object: old}))
	// Output: parse error 142: there were no films in 1801
}

// A hook around those that are registered after it.
func ExampleApp_AroundSave() {
	app := cloudcode.New()
	app.AroundSave("Movie", func(ctx context.Context, r *cloudcode.SaveRequest, next func(context.Context) error) error {
		began := time.Now()
		err := next(ctx)
		r.Log().DebugContext(ctx, "rules of movies", "took", time.Since(began), "error", err)
		return err
	})
	app.BeforeSave("Movie", func(context.Context, *cloudcode.SaveRequest) error {
		fmt.Println("the rules")
		return nil
	})

	_ = app.RunBeforeSave(context.Background(), &cloudcode.SaveRequest{Class: "Movie", Object: &parse.Object{}})
	// Output: the rules
}

// A hook that narrows what clients find.
func ExampleApp_BeforeFind() {
	app := cloudcode.New()
	app.BeforeFind("Movie", func(_ context.Context, r *cloudcode.FindRequest) error {
		if !r.Caller.Master {
			r.Query.Where = query.AllOf(r.Query.Where, query.Equal("released", true))
		}
		return nil
	})
}

// Validators are asked before the function runs.
func ExampleValidator() {
	order := func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
		return "a " + r.Params.String("size"), nil
	}
	app := cloudcode.New()
	app.Function("order", order, cloudcode.Validator{
		RequireUser:         true,
		RequireAnyUserRoles: []string{"customer"},
		Fields: []cloudcode.Field{
			{Name: "size", Type: cloudcode.String, Options: []parse.Value{"S", "M", "L"}, Default: "M"},
			{Name: "count", Type: cloudcode.Number},
		},
		RateLimit: &cloudcode.RateLimit{Count: 10, Window: time.Minute, Zone: "user"},
	})

	r := &cloudcode.FunctionRequest{Name: "order", Params: parse.NewMap(parse.MapField{Key: "size", Value: "XL"})}
	_, err := app.RunFunction(context.Background(), r)
	fmt.Println(err)
	// Output: parse error 142: Validation failed. Please login to continue.
}

func ExampleApp_Job() {
	app := cloudcode.New()
	app.Job("nightly", func(ctx context.Context, r *cloudcode.JobRequest) (string, error) {
		if err := r.Message(ctx, "halfway"); err != nil {
			return "", err
		}
		return "all done", nil
	})
}
