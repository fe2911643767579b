package rest

import (
	"context"
	"net/http"

	"github.com/pargo-baas/pargo/internal/access"
	"github.com/pargo-baas/pargo/internal/jobs"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

const scheduleClass = "_JobSchedule"

// startJob is POST /jobs/:jobName (reference 06 §12).
func startJob(ctx context.Context, c *call) (reply, error) {
	return c.startJob(ctx, c.params[0])
}

// startNamedJob is POST /jobs, which names the job in its body.
func startNamedJob(ctx context.Context, c *call) (reply, error) {
	return c.startJob(ctx, c.body.String("jobName"))
}

func (c *call) startJob(ctx context.Context, name string) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	if c.principal.Kind == access.ReadOnlyMaster {
		return reply{}, parse.Denyf(parse.OperationForbidden, "read-only masterKey isn't allowed to run a job.")
	}
	params, err := c.functionParams()
	if err != nil {
		return reply{}, err
	}
	id, err := c.h.o.Jobs.Start(ctx, name, params)
	if err != nil {
		return reply{}, err
	}
	if !c.nested {
		c.Header()["X-Parse-Job-Status-Id"] = []string{id}
	}
	return reply{json: emptyObject}, nil
}

// jobSchedules is GET /cloud_code/jobs.
func jobSchedules(ctx context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	found, err := c.objs.Find(ctx, c.principal, scheduleClass, &query.Query{Limit: query.NoLimit})
	if err != nil {
		return reply{}, err
	}
	c.bufs.out = appendResults(c.bufs.out[:0], found)
	return reply{json: c.bufs.out}, nil
}

// jobNames is GET /cloud_code/jobs/data.
func jobNames(ctx context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	found, err := c.objs.Find(ctx, c.principal, scheduleClass, &query.Query{Limit: query.NoLimit})
	if err != nil {
		return reply{}, err
	}
	used, known := parse.Array{}, parse.Array{}
	for _, o := range found.Objects {
		used = append(used, o.String("jobName"))
	}
	for _, name := range c.objs.App().Jobs() {
		known = append(known, name)
	}
	return c.json(parse.NewMap(parse.MapField{Key: "in_use", Value: used}, parse.MapField{Key: "jobs", Value: known})), nil
}

// scheduleBody is the job_schedule of a request, checked.
func (c *call) scheduleBody() (*parse.Map, error) {
	if err := c.masterOnly(true); err != nil {
		return nil, err
	}
	v, _ := c.body.Get("job_schedule")
	m, ok := v.(*parse.Map)
	if !ok {
		return nil, parse.Errorf(parse.InvalidJSON, "job_schedule must be an object")
	}
	if name, ok := m.Get("jobName"); ok {
		if s, ok := name.(string); !ok || !c.objs.App().HasJob(s) {
			return nil, &parse.Error{
				Code: parse.InternalServerError, Message: "Cannot Schedule a job that is not deployed", Status: http.StatusInternalServerError,
			}
		}
	}
	if v, ok := m.Get("cron"); ok {
		if expr, ok := v.(string); ok && expr != "" {
			if err := jobs.CheckCron(expr); err != nil {
				return nil, err
			}
		}
	}
	return m.Clone(), nil
}

// createSchedule is POST /cloud_code/jobs.
func createSchedule(ctx context.Context, c *call) (reply, error) {
	m, err := c.scheduleBody()
	if err != nil {
		return reply{}, err
	}
	if !m.Has("jobName") {
		return reply{}, parse.Errorf(parse.ValidationError, "jobName is required")
	}
	if !m.Has("startAfter") {
		m.Set("startAfter", parse.NewDate(c.h.o.now()).String())
	}
	saved, err := c.objs.Create(ctx, c.principal, &objects.Write{Class: scheduleClass, Body: m})
	if err != nil {
		return reply{}, err
	}
	r := c.saved(scheduleClass, saved)
	r.location = ""
	return r, nil
}

// updateSchedule is PUT /cloud_code/jobs/:id.
func updateSchedule(ctx context.Context, c *call) (reply, error) {
	m, err := c.scheduleBody()
	if err != nil {
		return reply{}, err
	}
	saved, err := c.objs.Update(ctx, c.principal, &objects.Write{Class: scheduleClass, ID: c.params[0], Body: m})
	if err != nil {
		return reply{}, err
	}
	return c.json(parse.NewMap(parse.MapField{Key: "response", Value: saved.Response})), nil
}

// deleteSchedule is DELETE /cloud_code/jobs/:id.
func deleteSchedule(ctx context.Context, c *call) (reply, error) {
	if err := c.masterOnly(true); err != nil {
		return reply{}, err
	}
	if err := c.objs.Delete(ctx, c.principal, scheduleClass, c.params[0]); err != nil {
		return reply{}, err
	}
	return reply{json: emptyObject}, nil
}
