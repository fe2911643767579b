package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"

	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/query"
)

// schedules starts the jobs of the schedules that are due.
func (s *Service) schedules(ctx context.Context, now time.Time) error {
	found, err := s.objs.Find(ctx, master, scheduleClass, &query.Query{Limit: query.NoLimit})
	if err != nil {
		return fmt.Errorf("read schedules: %w", err)
	}
	var errs []error
	for _, o := range found.Objects {
		name := o.String(fieldJob)
		if !s.objs.App().HasJob(name) {
			continue
		}
		at, due, err := Due(o, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("schedule %s of job %s: %w", o.ID, name, err))
			continue
		}
		if !due {
			continue
		}
		if err := s.claim(ctx, o, at); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// claim takes one due time of a schedule and starts its job, unless another
// server was faster.
func (s *Service) claim(ctx context.Context, o *parse.Object, at time.Time) error {
	name := o.String(fieldJob)
	params, err := parse.DecodeMap([]byte(orEmpty(o.String(fieldParams))), parse.DefaultLimits)
	if err != nil {
		return fmt.Errorf("schedule %s of job %s: params are no JSON object: %w", o.ID, name, err)
	}
	unclaimed := query.Node(&query.Exists{Path: fieldLastRun})
	if was, ok := o.Get(fieldLastRun); ok && was != nil {
		unclaimed = query.Equal(fieldLastRun, was)
	}
	_, err = s.objs.Update(ctx, master, &objects.Write{
		Class: scheduleClass, ID: o.ID, If: unclaimed,
		Body: parse.NewMap(parse.MapField{Key: fieldLastRun, Value: float64(at.UnixMilli())}),
	})
	if parse.CodeOf(err) == parse.ObjectNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("claim schedule %s: %w", o.ID, err)
	}
	_, err = s.start(ctx, name, "schedule", params)
	return err
}

func orEmpty(text string) string {
	if strings.TrimSpace(text) == "" {
		return "{}"
	}
	return text
}

// CheckCron tells whether a text is a cron expression: five fields, or six
// with seconds first, or a name such as @daily.
func CheckCron(expr string) error {
	if !gronx.New().IsValid(expr) {
		return parse.Errorf(parse.ValidationError, "%q is no cron expression", expr)
	}
	return nil
}

// Due returns the last time at or before now for which a schedule asks, and
// whether its job has not run for it yet. All times are UTC. A schedule has a
// cron expression (cron), or timeOfDay, daysOfWeek (flags from Sunday on) and
// repeatMinutes; nothing is due before startAfter.
func Due(o *parse.Object, now time.Time) (at time.Time, due bool, err error) {
	now = now.UTC()
	start := o.CreatedAt.Time()
	if text := o.String("startAfter"); text != "" {
		d, ok := parse.ParseDate(text)
		if !ok {
			return at, false, fmt.Errorf("startAfter %q is no date", text)
		}
		start = d.Time()
	}
	if at, err = latest(o, start, now); err != nil || at.IsZero() {
		return at, false, err
	}
	last := time.Time{}
	if n, ok := o.Number(fieldLastRun); ok {
		last = lastRun(n)
	}
	return at, !at.Before(start.Truncate(time.Second)) && at.After(last), nil
}

// lastRun reads milliseconds or, as other runners of schedules write, seconds.
func lastRun(n float64) time.Time {
	const firstMillis = 1e11 // in seconds, some year after 5000
	if n < firstMillis {
		n *= 1000
	}
	return time.UnixMilli(int64(n))
}

// latest is the last time that the schedule names, or zero.
func latest(o *parse.Object, start, now time.Time) (time.Time, error) {
	if expr := o.String("cron"); expr != "" {
		if err := CheckCron(expr); err != nil {
			return time.Time{}, err
		}
		t, err := gronx.PrevTickBefore(expr, now, true)
		if err != nil { // there was none
			return time.Time{}, nil //nolint:nilerr // the expression is valid: it names no time in the past
		}
		return t.UTC(), nil
	}
	minutes, _ := o.Number("repeatMinutes")
	days, _ := o.Get("daysOfWeek")
	text := o.String("timeOfDay")
	if text == "" && days == nil && minutes <= 0 { // once
		if now.Before(start) {
			return time.Time{}, nil
		}
		return start, nil
	}
	first := time.Duration(0)
	if text != "" {
		d, err := timeOfDay(text)
		if err != nil {
			return time.Time{}, err
		}
		first = d
	}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	for back := range 8 {
		day := midnight.AddDate(0, 0, -back)
		at := day.Add(first)
		if at.After(now) || !allowed(days, day.Weekday()) {
			continue
		}
		if minutes > 0 {
			end := day.AddDate(0, 0, 1).Add(-1)
			if now.Before(end) {
				end = now
			}
			every := time.Duration(minutes * float64(time.Minute))
			at = at.Add(end.Sub(at) / every * every)
		}
		return at, nil
	}
	return time.Time{}, nil
}

// timeOfDay reads "15:04:05.000Z".
func timeOfDay(text string) (time.Duration, error) {
	for _, layout := range [...]string{"15:04:05.999Z07:00", "15:04:05.999", "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC()
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
				time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond()), nil
		}
	}
	return 0, fmt.Errorf("timeOfDay %q is no time", text)
}

// allowed reads the flags of the days.
func allowed(days parse.Value, d time.Weekday) bool {
	list, ok := days.(parse.Array)
	if !ok || len(list) != 7 {
		return true
	}
	switch v := list[d].(type) {
	case float64:
		return v != 0
	case bool:
		return v
	case string:
		return v == "1" || v == "true"
	}
	return false
}
