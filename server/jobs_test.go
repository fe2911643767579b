package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/internal/scenario"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/server/config"
)

func readOnly(c *config.Config) { c.ReadOnlyMasterKey = "readonly" }

var asReadOnly = map[string]string{"X-Parse-Master-Key": "readonly"}

func TestJobs(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{
		Name: "jobs", Config: readOnly,
		Cloud: func(app *cloudcode.App) {
			ended := make(chan string, 10)
			app.Job("sum", func(_ context.Context, r *cloudcode.JobRequest) (string, error) {
				a, _ := r.Params.Get("a")
				b, _ := r.Params.Get("b")
				defer func() { ended <- r.ID }()
				return fmt.Sprint(a, b), nil
			})
			// await returns once the job has ended and its state is stored.
			app.Function("await", func(ctx context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
				id := ""
				select {
				case id = <-ended:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				for ctx.Err() == nil {
					o, err := r.Client.Get(ctx, "_JobStatus", id)
					if err != nil {
						return nil, err
					}
					if o.String("status") != "running" {
						return id, nil
					}
				}
				return nil, ctx.Err()
			})
		},
		Steps: []scenario.Step{
			{Name: "clients start none", Method: "POST", Path: "/jobs/sum", Status: 403, JSON: `{"error":"Permission denied"}`},
			{Name: "nor the read-only key", Method: "POST", Path: "/jobs/sum", Header: asReadOnly, Code: parse.OperationForbidden, Error: "Permission denied"},
			{Name: "unknown", Method: "POST", Path: "/jobs/nope", As: "master", Code: parse.ScriptFailed, Error: "Invalid job."},
			{Name: "start", Method: "POST", Path: "/jobs/sum", As: "master", Query: map[string]string{"b": "2"}, Body: `{"a":"1","b":3}`, JSON: `{}`},
			{Name: "await", Method: "POST", Path: "/functions/await", As: "master", Save: map[string]string{"result": "job"}},
			{
				Name: "status", Path: "/classes/_JobStatus/{{job}}", As: "master",
				JSON: `{"objectId":"{{job}}","jobName":"sum","source":"api","status":"succeeded","message":"12","params":{"a":"1","b":"2"},"finishedAt":{"__type":"Date","iso":"*"},"createdAt":"*","updatedAt":"*","attempts":1,"ACL":{}}`,
			},
			{Name: "clients do not see it", Path: "/classes/_JobStatus/{{job}}", Code: parse.OperationForbidden},
			{Name: "name in the body", Method: "POST", Path: "/jobs", As: "master", Body: `{"jobName":"sum","a":"x"}`, JSON: `{}`},
			{Name: "await", Method: "POST", Path: "/functions/await", As: "master", Save: map[string]string{"result": "job"}},
			{Name: "status", Path: "/classes/_JobStatus/{{job}}", As: "master", JSON: `{"params":{"jobName":"sum","a":"x"},"...":0}`},
			{Name: "no schedules", Path: "/cloud_code/jobs", As: "master", JSON: `[]`},
			{Name: "schedules of clients", Path: "/cloud_code/jobs", Status: 403},
			{Name: "unknown job", Method: "POST", Path: "/cloud_code/jobs", As: "master", Body: `{"job_schedule":{"jobName":"nope"}}`, Status: 500, JSON: `{"code":1,"error":"Cannot Schedule a job that is not deployed"}`},
			{Name: "nothing", Method: "POST", Path: "/cloud_code/jobs", As: "master", Body: `{}`, Code: parse.InvalidJSON},
			{Name: "bad cron", Method: "POST", Path: "/cloud_code/jobs", As: "master", Body: `{"job_schedule":{"jobName":"sum","cron":"never"}}`, Code: parse.ValidationError},
			{Name: "make", Method: "POST", Path: "/cloud_code/jobs", As: "master", Body: `{"job_schedule":{"jobName":"sum","params":"{}","daysOfWeek":[1,1,1,1,1,1,1],"startAfter":"2999-01-01T00:00:00.000Z","timeOfDay":"03:00:00.000Z","repeatMinutes":30}}`, Status: 201, JSON: `{"objectId":"*","createdAt":"*"}`, Save: map[string]string{"objectId": "s"}},
			{Name: "change", Method: "PUT", Path: "/cloud_code/jobs/{{s}}", As: "master", Body: `{"job_schedule":{"repeatMinutes":60}}`, JSON: `{"response":{"updatedAt":"*"}}`},
			{Name: "list", Path: "/cloud_code/jobs", As: "master", JSON: `[{"objectId":"{{s}}","jobName":"sum","params":"{}","daysOfWeek":[1,1,1,1,1,1,1],"startAfter":"2999-01-01T00:00:00.000Z","timeOfDay":"03:00:00.000Z","repeatMinutes":60,"createdAt":"*","updatedAt":"*"}]`},
			{Name: "names", Path: "/cloud_code/jobs/data", As: "master", JSON: `{"in_use":["sum"],"jobs":["sum"]}`},
			{Name: "the read-only key changes none", Method: "DELETE", Path: "/cloud_code/jobs/{{s}}", Header: asReadOnly, Code: parse.OperationForbidden},
			{Name: "remove", Method: "DELETE", Path: "/cloud_code/jobs/{{s}}", As: "master", JSON: `{}`},
			{Name: "gone", Method: "PUT", Path: "/cloud_code/jobs/{{s}}", As: "master", Body: `{"job_schedule":{"repeatMinutes":60}}`, Code: parse.ObjectNotFound},
		},
	}})
}

func TestConfig(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{
		Name: "config", Config: readOnly,
		Cloud: func(app *cloudcode.App) {
			var saves []string
			app.BeforeSaveConfig(func(_ context.Context, r *cloudcode.ConfigRequest) error {
				saves = append(saves, "before "+string(parse.AppendJSON(nil, r.Original)))
				if r.Params.Has("forbidden") {
					return errors.New("not this one")
				}
				return nil
			})
			app.AfterSaveConfig(func(_ context.Context, r *cloudcode.ConfigRequest) error {
				saves = append(saves, "after "+string(parse.AppendJSON(nil, r.Params)))
				return errors.New("only the log reads this")
			})
			app.Function("saves", func(context.Context, *cloudcode.FunctionRequest) (parse.Value, error) {
				out := parse.Array{}
				for _, s := range saves {
					out = append(out, s)
				}
				return out, nil
			})
		},
		Steps: []scenario.Step{
			{Name: "nothing yet", Path: "/config", JSON: `{"params":{}}`},
			{Name: "clients write none", Method: "PUT", Path: "/config", Body: `{"params":{"a":1}}`, Status: 403},
			{Name: "nor the read-only key", Method: "PUT", Path: "/config", Header: asReadOnly, Body: `{"params":{"a":1}}`, Code: parse.OperationForbidden},
			{Name: "write", Method: "PUT", Path: "/config", As: "master", Body: `{"params":{"a":1,"at":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"},"list":[1],"secret":"s"},"masterKeyOnly":{"secret":true,"other":true}}`, JSON: `{"result":true}`},
			{Name: "master reads", Path: "/config", As: "master", JSON: `{"params":{"a":1,"secret":"s","list":[1],"at":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}},"masterKeyOnly":{"a":false,"secret":true,"list":false,"at":false}}`},
			{Name: "clients read", Path: "/config", JSON: `{"params":{"a":1,"list":[1],"at":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}},"masterKeyOnly":{"a":false,"list":false,"at":false}}`, Lacks: []string{"secret"}},
			{Name: "operations", Method: "PUT", Path: "/config", As: "master", Body: `{"params":{"a":{"__op":"Increment","amount":2},"list":{"__op":"AddUnique","objects":[1,2]},"at":{"__op":"Delete"}}}`, JSON: `{"result":true}`},
			{Name: "after operations", Path: "/config", JSON: `{"params":{"a":3,"list":[1,2]},"masterKeyOnly":{"a":false,"list":false,"at":false}}`},
			{Name: "a flag that is not repeated falls", Method: "PUT", Path: "/config", As: "master", Body: `{"params":{"secret":"t"}}`},
			{Name: "as in the protocol", Path: "/config", JSON: `{"params":{"a":3,"list":[1,2],"secret":"t"},"masterKeyOnly":"*"}`},
			{Name: "a hook refuses", Method: "PUT", Path: "/config", As: "master", Body: `{"params":{"forbidden":1}}`, Code: parse.ScriptFailed, Error: "not this one"},
			{Name: "nothing to write", Method: "PUT", Path: "/config", As: "master", Body: `{}`, JSON: `{"result":true}`},
			{Name: "no object", Method: "PUT", Path: "/config", As: "master", Body: `{"params":[]}`, Code: parse.InvalidJSON},
			{Name: "hooks", Method: "POST", Path: "/functions/saves", JSON: `{"result":["before {}","after {\"a\":1,\"at\":{\"__type\":\"Date\",\"iso\":\"2026-01-01T00:00:00.000Z\"},\"list\":[1],\"secret\":\"s\"}","*","after {\"a\":3,\"list\":[1,2],\"secret\":\"s\"}","*","*","*","*","*"]}`},
		},
	}})
}

func TestEventsAndLog(t *testing.T) {
	scenario.Run(t, []scenario.Scenario{{
		Name: "events and log",
		Cloud: func(app *cloudcode.App) {
			var seen parse.Array
			app.OnAnalytics(func(_ context.Context, r *cloudcode.AnalyticsEvent) error {
				seen = append(seen, r.Name+" "+r.Dimensions.String("source")+" "+r.At.UTC().Format(time.RFC3339))
				return errors.New("nobody reads this")
			})
			app.Function("seen", func(_ context.Context, r *cloudcode.FunctionRequest) (parse.Value, error) {
				r.Log().Error("asked for events", slog.Int("n", len(seen)))
				return seen, nil
			})
		},
		Steps: []scenario.Step{
			{Name: "event", Method: "POST", Path: "/events/Bought", Body: `{"dimensions":{"source":"app"},"at":{"__type":"Date","iso":"2026-01-01T00:00:00.000Z"}}`, JSON: `{}`},
			{Name: "seen", Method: "POST", Path: "/functions/seen", JSON: `{"result":["Bought app 2026-01-01T00:00:00Z"]}`},
			{Name: "log of clients", Path: "/scriptlog", Status: 403},
			{Name: "errors", Path: "/scriptlog", As: "master", Query: map[string]string{"level": "error"}, JSON: `[{"level":"error","message":"asked for events","timestamp":"*","trigger":"function","name":"seen","n":1}]`},
			{Name: "all, oldest first, one", Path: "/scriptlog", As: "master", Query: map[string]string{"order": "asc", "n": "1", "size": "5"}, JSON: `[{"level":"*","message":"*","timestamp":"*","...":0}]`},
			{Name: "of the future", Path: "/scriptlog", As: "master", Query: map[string]string{"from": "2999-01-01T00:00:00.000Z", "until": "2999-01-02T00:00:00.000Z"}, JSON: `[]`},
			{Name: "no date", Path: "/scriptlog", As: "master", Query: map[string]string{"from": "soon"}, Code: parse.InvalidQuery},
			{Name: "no purchase", Method: "POST", Path: "/validate_purchase", Body: `{"receipt":"x"}`, Code: parse.InvalidJSON, Error: "missing receipt or productIdentifier"},
		},
	}, {
		Name: "no purchases", Config: func(c *config.Config) { c.EnableProductPurchaseLegacyAPI = false },
		Steps: []scenario.Step{{Name: "not served", Method: "POST", Path: "/validate_purchase", Status: 404}},
	}})
}
