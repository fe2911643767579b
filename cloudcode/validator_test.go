package cloudcode_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

func TestValidatorOfFunctions(t *testing.T) {
	user := &parse.Object{ClassName: "_User", ID: "u"}
	user.Set("plan", "free")
	alice := cloudcode.Caller{User: user, Roles: []string{"editor", "reader"}}
	master := cloudcode.Caller{Master: true}
	field := func(f cloudcode.Field) cloudcode.Validator { return cloudcode.Validator{Fields: []cloudcode.Field{f}} }
	for name, tt := range map[string]struct {
		v      cloudcode.Validator
		as     cloudcode.Caller
		params string
		text   string // "": accepted
		after  string // the parameters that the function gets
	}{
		"user":                   {cloudcode.Validator{RequireUser: true}, alice, `{}`, "", `{}`},
		"no user":                {cloudcode.Validator{RequireUser: true}, cloudcode.Caller{}, `{}`, "Validation failed. Please login to continue.", ""},
		"master instead":         {cloudcode.Validator{RequireUser: true}, master, `{}`, "", `{}`},
		"master is checked":      {cloudcode.Validator{RequireUser: true, ValidateMasterKey: true}, master, `{}`, "Validation failed. Please login to continue.", ""},
		"master skips no body":   {cloudcode.Validator{RequireUser: true, SkipWithMasterKey: true}, master, `{}`, "", `{}`},
		"no master":              {cloudcode.Validator{RequireMaster: true}, alice, `{}`, "Validation failed. Master key is required to complete this request.", ""},
		"missing":                {field(cloudcode.Field{Name: "a"}), alice, `{}`, "Validation failed. Please specify data for a.", ""},
		"null":                   {field(cloudcode.Field{Name: "a"}), alice, `{"a":null}`, "Validation failed. Please specify data for a.", ""},
		"default":                {field(cloudcode.Field{Name: "a", Type: cloudcode.Number, Default: 1.0}), alice, `{}`, "", `{"a":1}`},
		"optional":               {field(cloudcode.Field{Name: "a", Type: cloudcode.Number, Optional: true}), alice, `{}`, "", `{}`},
		"optional, null":         {field(cloudcode.Field{Name: "a", Type: cloudcode.Number, Optional: true}), alice, `{"a":null}`, "Validation failed. Invalid type for a. Expected: number", ""},
		"wrong type":             {field(cloudcode.Field{Name: "a", Type: cloudcode.String}), alice, `{"a":1}`, "Validation failed. Invalid type for a. Expected: string", ""},
		"array":                  {field(cloudcode.Field{Name: "a", Type: cloudcode.Array}), alice, `{"a":[]}`, "", `{"a":[]}`},
		"date":                   {field(cloudcode.Field{Name: "a", Type: cloudcode.Date}), alice, `{"a":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`, "", `{"a":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`},
		"pointer":                {field(cloudcode.Field{Name: "a", Type: cloudcode.Pointer}), alice, `{"a":{}}`, "Validation failed. Invalid type for a. Expected: pointer", ""},
		"option":                 {field(cloudcode.Field{Name: "a", Options: []parse.Value{"x", 2.0}}), alice, `{"a":2}`, "", `{"a":2}`},
		"no option":              {field(cloudcode.Field{Name: "a", Options: []parse.Value{"x", 2.0}}), alice, `{"a":3}`, "Validation failed. Invalid option for a. Expected: x, 2", ""},
		"no option, own text":    {field(cloudcode.Field{Name: "a", Options: []parse.Value{"x"}, Error: "x it is"}), alice, `{"a":3}`, "x it is", ""},
		"check":                  {field(cloudcode.Field{Name: "a", Check: func(parse.Value) error { return errors.New("too much") }}), alice, `{"a":3}`, "too much", ""},
		"any role":               {cloudcode.Validator{RequireAnyUserRoles: []string{"x", "reader"}}, alice, `{}`, "", `{}`},
		"no such role":           {cloudcode.Validator{RequireAnyUserRoles: []string{"x"}}, alice, `{}`, "Validation failed. User does not match the required roles.", ""},
		"all roles":              {cloudcode.Validator{RequireAllUserRoles: []string{"editor", "reader"}}, alice, `{}`, "", `{}`},
		"not all roles":          {cloudcode.Validator{RequireAllUserRoles: []string{"editor", "x"}}, alice, `{}`, "Validation failed. User does not match all the required roles.", ""},
		"roles without a user":   {cloudcode.Validator{RequireAllUserRoles: []string{"editor"}}, cloudcode.Caller{}, `{}`, "Validation failed. Please login to continue.", ""},
		"user key":               {cloudcode.Validator{RequireUserKeys: []cloudcode.Field{{Name: "plan"}}}, alice, `{}`, "", `{}`},
		"no user key":            {cloudcode.Validator{RequireUserKeys: []cloudcode.Field{{Name: "phone"}}}, alice, `{}`, "Validation failed. Please set data for phone on your account.", ""},
		"user key, no user":      {cloudcode.Validator{RequireUserKeys: []cloudcode.Field{{Name: "phone"}}}, cloudcode.Caller{}, `{}`, "Please login to make this request.", ""},
		"user key, wrong option": {cloudcode.Validator{RequireUserKeys: []cloudcode.Field{{Name: "plan", Options: []parse.Value{"paid"}}}}, alice, `{}`, "Validation failed. Invalid option for plan. Expected: paid", ""},
		"function": {cloudcode.Validator{Check: func(_ context.Context, in cloudcode.Input) error {
			return errors.New("no " + in.Params.String("a"))
		}}, alice, `{"a":"b"}`, "no b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			app := cloudcode.New()
			got := ""
			app.Function("f", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
				got = string(parse.AppendJSON(nil, r.Params))
				return nil, nil
			}, tt.v)
			params, err := parse.DecodeMap([]byte(tt.params), parse.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			_, err = app.RunFunction(t.Context(), &cloudcode.FunctionRequest{Request: cloudcode.Request{Caller: tt.as}, Name: "f", Params: params})
			var pe *parse.Error
			switch {
			case tt.text == "" && err != nil:
				t.Error(err)
			case tt.text != "" && (!errors.As(err, &pe) || pe.Code != parse.ValidationError || pe.Message != tt.text):
				t.Errorf("got %v, want %s", err, tt.text)
			}
			if got != tt.after {
				t.Errorf("the function got %s, want %s", got, tt.after)
			}
		})
	}
}

func TestValidatorOfHooks(t *testing.T) {
	app := cloudcode.New()
	ran := 0
	app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { ran++; return nil }, cloudcode.Validator{
		SkipWithMasterKey: true,
		Fields:            []cloudcode.Field{{Name: "kind", Constant: true, Default: "a", Optional: true}, {Name: "n", Type: cloudcode.Number, Default: 1.0}},
	})
	save := func(master bool, original *parse.Object, fields ...parse.MapField) string {
		t.Helper()
		o := &parse.Object{ClassName: "C", Fields: *parse.NewMap(fields...)}
		r := &cloudcode.SaveRequest{Request: cloudcode.Request{Caller: cloudcode.Caller{Master: master}}, Class: "C", Object: o, Original: original}
		if err := app.RunBeforeSave(t.Context(), r); err != nil {
			return err.Error()
		}
		return string(parse.AppendJSON(nil, &o.Fields))
	}
	old := &parse.Object{ClassName: "C"}
	old.Set("kind", "z")
	kind := parse.MapField{Key: "kind", Value: "b"}
	got := []string{
		save(false, nil, kind), save(false, old, kind), save(true, nil, kind),
		save(false, nil, parse.MapField{Key: "n", Value: "x"}),
	}
	want := []string{`{"kind":"a","n":1}`, `{"kind":"z","n":1}`, `{"kind":"b"}`, "parse error 142: Validation failed. Invalid type for n. Expected: number"}
	if diff := cmp.Diff(want, got); diff != "" || ran != 2 {
		t.Error(diff, ran)
	}
}

func TestTimeLimit(t *testing.T) {
	app := cloudcode.New()
	app.BeforeSave("C", func(ctx context.Context, _ *cloudcode.SaveRequest) error {
		<-ctx.Done()
		return ctx.Err()
	}, cloudcode.Timeout(time.Millisecond))
	err := app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "C"})
	if parse.CodeOf(err) != parse.Timeout || !strings.Contains(err.Error(), "beforeSave C took longer than 1ms.") {
		t.Error(err)
	}
	app.Function("f", func(ctx context.Context, _ *cloudcode.FunctionRequest) (parse.Value, error) {
		_, limited := ctx.Deadline()
		return limited, nil
	}, cloudcode.Timeout(0))
	if v, err := app.RunFunction(t.Context(), &cloudcode.FunctionRequest{Name: "f"}); v != false || err != nil {
		t.Error(v, err)
	}
}

// Hooks after a write go on when the client has gone, within their own limit.
func TestAfterHooksOutliveTheRequest(t *testing.T) {
	app := cloudcode.New()
	var seen []error
	look := func(ctx context.Context) error {
		_, limited := ctx.Deadline()
		if !limited && len(seen) < 2 {
			t.Error("no limit")
		}
		seen = append(seen, ctx.Err())
		select {
		case <-ctx.Done():
			t.Error("the context is done")
		default:
		}
		return nil
	}
	app.AfterSave("C", func(ctx context.Context, _ *cloudcode.SaveRequest) error { return look(ctx) })
	app.AfterDelete("C", func(ctx context.Context, _ *cloudcode.DeleteRequest) error { return look(ctx) })
	app.AfterSave("Free", func(ctx context.Context, _ *cloudcode.SaveRequest) error { return look(ctx) }, cloudcode.Timeout(0))
	app.AfterSave("Slow", func(ctx context.Context, _ *cloudcode.SaveRequest) error {
		<-ctx.Done()
		return ctx.Err()
	}, cloudcode.Timeout(time.Millisecond))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(
		app.RunAfterSave(gone, &cloudcode.SaveRequest{Class: "C"}), app.RunAfterDelete(gone, &cloudcode.DeleteRequest{Class: "C"}),
		app.RunAfterSave(gone, &cloudcode.SaveRequest{Class: "Free"}),
	); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(3, len(seen)); diff != "" || errors.Join(seen...) != nil {
		t.Errorf("%s %v", diff, seen)
	}
	if err := app.RunAfterSave(gone, &cloudcode.SaveRequest{Class: "Slow"}); parse.CodeOf(err) != parse.Timeout {
		t.Error(err)
	}
}

func TestAround(t *testing.T) {
	type key struct{}
	app := cloudcode.New()
	var ran []string
	app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { ran = append(ran, "first"); return nil })
	app.AroundSave("C", func(ctx context.Context, _ *cloudcode.SaveRequest, next func(context.Context) error) error {
		ran = append(ran, "in")
		err := next(context.WithValue(ctx, key{}, "seen"))
		ran = append(ran, "out")
		if err != nil {
			return cloudcode.Err(parse.OperationForbidden, "translated")
		}
		return nil
	}, cloudcode.Timeout(time.Hour))
	app.BeforeSave("C", func(ctx context.Context, _ *cloudcode.SaveRequest) error {
		ran = append(ran, ctx.Value(key{}).(string))
		return errors.New("no")
	})
	app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { ran = append(ran, "never"); return nil })
	err := app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "C"})
	if parse.CodeOf(err) != parse.OperationForbidden {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"first", "in", "seen", "out"}, ran); diff != "" {
		t.Error(diff)
	}
	ran = nil
	for _, name := range []string{"outer", "inner"} {
		app.AroundFunction(func(ctx context.Context, r *cloudcode.FunctionRequest, next cloudcode.Function) (parse.Value, error) {
			ran = append(ran, name)
			v, err := next(ctx, r)
			return v.(string) + " " + name, err
		})
	}
	app.Function("f", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return "f", nil })
	if v, err := app.RunFunction(t.Context(), &cloudcode.FunctionRequest{Name: "f"}); v != "f inner outer" || err != nil {
		t.Error(v, err)
	}
	if diff := cmp.Diff([]string{"outer", "inner"}, ran); diff != "" {
		t.Error(diff)
	}
}

type observed []string

func (o *observed) Observe(t cloudcode.Trigger, name string, d time.Duration, err error) {
	*o = append(*o, string(t)+" "+name)
	if d < 0 || err == nil {
		*o = append(*o, "wrong")
	}
}

func TestStats(t *testing.T) {
	app := cloudcode.New()
	var seen observed
	app.SetObserver(&seen)
	app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { return errors.New("no") })
	extra := app.NewExtra()
	extra.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { return nil })
	extra.Function("f", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { panic("x") })
	for range 3 {
		app.SetExtra(extra)
	}
	for range 2 {
		if app.RunBeforeSave(t.Context(), &cloudcode.SaveRequest{Class: "C"}) == nil {
			t.Fatal("not refused")
		}
	}
	if _, err := app.RunFunction(t.Context(), &cloudcode.FunctionRequest{Name: "f"}); err == nil {
		t.Fatal("no error")
	}
	var got []any
	for _, s := range app.Stats() {
		n := int64(0)
		for _, b := range s.Buckets {
			n += b
		}
		got = append(got, s.Trigger, s.Name, s.Calls, s.Errors, n)
	}
	if diff := cmp.Diff([]any{cloudcode.TriggerBeforeSave, "C", int64(2), int64(2), int64(2), cloudcode.TriggerFunction, "f", int64(1), int64(1), int64(1)}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(observed{"beforeSave C", "beforeSave C", "function f"}, seen); diff != "" {
		t.Error(diff)
	}
	app.SetExtra(app.NewExtra())
	if app.HasFunction("f") || !app.HasBeforeSave("C") {
		t.Error("hooks did not go")
	}
}

// Every hook, function and job is counted from its registration on.
func TestEveryHookIsCounted(t *testing.T) {
	app, ctx := cloudcode.New(), t.Context()
	app.BeforeSave("C", func(context.Context, *cloudcode.SaveRequest) error { return nil })
	app.AfterSave("C", func(context.Context, *cloudcode.SaveRequest) error { return nil })
	app.BeforeDelete("C", func(context.Context, *cloudcode.DeleteRequest) error { return nil })
	app.AfterDelete("C", func(context.Context, *cloudcode.DeleteRequest) error { return nil })
	app.BeforeFind("C", func(context.Context, *cloudcode.FindRequest) error { return nil })
	app.AfterFind("C", func(context.Context, *cloudcode.FoundRequest) error { return nil })
	app.BeforeLogin(func(context.Context, *cloudcode.LoginRequest) error { return nil })
	app.AfterLogin(func(context.Context, *cloudcode.LoginRequest) error { return nil })
	app.AfterLogout(func(context.Context, *cloudcode.LogoutRequest) error { return nil })
	app.BeforePasswordReset(func(context.Context, *cloudcode.PasswordResetRequest) error { return nil })
	app.BeforeSaveConfig(func(context.Context, *cloudcode.ConfigRequest) error { return nil })
	app.AfterSaveConfig(func(context.Context, *cloudcode.ConfigRequest) error { return nil })
	app.BeforeConnect(func(context.Context, *cloudcode.ConnectRequest) error { return nil })
	app.BeforeSubscribe("C", func(context.Context, *cloudcode.SubscribeRequest) error { return nil })
	app.AfterEvent("C", func(context.Context, *cloudcode.EventRequest) error { return nil })
	app.OnLiveQueryEvent(func(context.Context, *cloudcode.LiveQueryEvent) {})
	app.OnAnalytics(func(context.Context, *cloudcode.AnalyticsEvent) error { return nil })
	app.Function("f", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) { return nil, nil })
	app.Job("j", func(context.Context, *cloudcode.JobRequest) (string, error) { return "", nil })
	want := []string{
		"afterDelete C", "afterEvent C", "afterFind C", "afterLogin _User", "afterLogout _Session", "afterSave @Config", "afterSave C",
		"beforeConnect @Connect", "beforeDelete C", "beforeFind C", "beforeLogin _User", "beforePasswordResetRequest _User",
		"beforeSave @Config", "beforeSave C", "beforeSubscribe C", "function f", "job j", "onAnalytics *", "onLiveQueryEvent @Connect",
	}
	counted := func(n int64) {
		t.Helper()
		var got []string
		for _, s := range app.Stats() {
			got = append(got, string(s.Trigger)+" "+s.Name)
			if s.Calls != n || s.Errors != 0 {
				t.Errorf("%s %s: %d calls, want %d", s.Trigger, s.Name, s.Calls, n)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	counted(0)
	o := &parse.Object{ClassName: "C"}
	_, ferr := app.RunFunction(ctx, &cloudcode.FunctionRequest{Name: "f"})
	_, jerr := app.RunJob(ctx, &cloudcode.JobRequest{Name: "j"})
	app.TellLiveQueryEvent(ctx, &cloudcode.LiveQueryEvent{})
	if err := errors.Join(ferr, jerr,
		app.RunBeforeSave(ctx, &cloudcode.SaveRequest{Class: "C"}), app.RunAfterSave(ctx, &cloudcode.SaveRequest{Class: "C"}),
		app.RunBeforeDelete(ctx, &cloudcode.DeleteRequest{Class: "C"}), app.RunAfterDelete(ctx, &cloudcode.DeleteRequest{Class: "C"}),
		app.RunBeforeFind(ctx, &cloudcode.FindRequest{Class: "C"}), app.RunAfterFind(ctx, &cloudcode.FoundRequest{Class: "C"}),
		app.RunBeforeLogin(ctx, &cloudcode.LoginRequest{}), app.RunAfterLogin(ctx, &cloudcode.LoginRequest{}), app.RunAfterLogout(ctx, &cloudcode.LogoutRequest{}),
		app.RunBeforePasswordReset(ctx, &cloudcode.PasswordResetRequest{}),
		app.RunBeforeSaveConfig(ctx, &cloudcode.ConfigRequest{}), app.RunAfterSaveConfig(ctx, &cloudcode.ConfigRequest{}),
		app.RunBeforeConnect(ctx, &cloudcode.ConnectRequest{}), app.RunBeforeSubscribe(ctx, &cloudcode.SubscribeRequest{Class: "C"}),
		app.RunAfterEvent(ctx, &cloudcode.EventRequest{Class: "C", Object: o}), app.RunOnAnalytics(ctx, &cloudcode.AnalyticsEvent{}),
	); err != nil {
		t.Fatal(err)
	}
	counted(1)
}

// Which trigger a class may have, and what is said of others.
func TestCheckTrigger(t *testing.T) {
	const (
		user    = "Only the _User class is allowed for the beforeLogin, afterLogin, and beforePasswordResetRequest triggers"
		logout  = "Only the _Session class is allowed for the afterLogout trigger."
		session = "Only the afterLogout trigger is allowed for the _Session class."
		push    = "Only afterSave is allowed on _PushStatus"
	)
	objects := []cloudcode.Trigger{
		cloudcode.TriggerBeforeSave, cloudcode.TriggerAfterSave, cloudcode.TriggerBeforeDelete, cloudcode.TriggerAfterDelete,
		cloudcode.TriggerBeforeFind, cloudcode.TriggerAfterFind, cloudcode.TriggerBeforeSubscribe, cloudcode.TriggerAfterEvent,
	}
	users := []cloudcode.Trigger{cloudcode.TriggerBeforeLogin, cloudcode.TriggerAfterLogin, cloudcode.TriggerBeforePasswordReset}
	for _, tt := range []struct {
		triggers []cloudcode.Trigger
		class    string
		want     string // "": allowed
	}{
		{objects, "Post", ""},
		{objects, "_User", ""},
		{objects, "_Role", ""},
		{objects, "_Installation", ""},
		{objects, "_Session", session},
		{objects[2:], "_PushStatus", push},
		{objects[:1], "_PushStatus", push},
		{objects[1:2], "_PushStatus", ""},
		{objects, "a b", `"a b" is no name of a class`},
		{objects, "", `"" is no name of a class`},
		{objects[:2], cloudcode.ConfigClass, ""},
		{objects[2:], cloudcode.ConfigClass, `"@Config" is no name of a class`},
		{users, "_User", ""},
		{users, "Post", user},
		{users, "_Session", user},
		{[]cloudcode.Trigger{cloudcode.TriggerAfterLogout}, "_Session", ""},
		{[]cloudcode.Trigger{cloudcode.TriggerAfterLogout}, "_User", logout},
		{[]cloudcode.Trigger{cloudcode.TriggerBeforeConnect}, cloudcode.ConnectClass, ""},
		{[]cloudcode.Trigger{cloudcode.TriggerBeforeConnect}, "Post", "only @Connect has the trigger beforeConnect"},
		{[]cloudcode.Trigger{cloudcode.TriggerFunction, cloudcode.TriggerJob}, "Post", "*"},
		{[]cloudcode.Trigger{"beforeNothing"}, "Post", `there is no trigger "beforeNothing"`},
	} {
		for _, trigger := range tt.triggers {
			err := cloudcode.CheckTrigger(trigger, tt.class)
			switch {
			case (err == nil) != (tt.want == ""), err != nil && tt.want != "*" && err.Error() != tt.want:
				t.Errorf("%s of %q: %v, want %q", trigger, tt.class, err, tt.want)
			}
		}
	}
}
