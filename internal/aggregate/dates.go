package aggregate

import (
	"fmt"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// dateParts is a constant table.
var dateParts = map[string]func(t time.Time) int{
	"$year":         time.Time.Year,
	"$month":        func(t time.Time) int { return int(t.Month()) },
	"$dayOfMonth":   time.Time.Day,
	"$hour":         time.Time.Hour,
	"$minute":       time.Time.Minute,
	"$second":       time.Time.Second,
	"$millisecond":  func(t time.Time) int { return t.Nanosecond() / 1e6 },
	"$dayOfWeek":    func(t time.Time) int { return int(t.Weekday()) + 1 },
	"$dayOfYear":    time.Time.YearDay,
	"$week":         week,
	"$isoWeek":      func(t time.Time) int { _, w := t.ISOWeek(); return w },
	"$isoWeekYear":  func(t time.Time) int { y, _ := t.ISOWeek(); return y },
	"$isoDayOfWeek": func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 },
}

// week counts from the first Sunday of the year; the days before are in week 0.
func week(t time.Time) int { return (t.YearDay() + 6 - int(t.Weekday())) / 7 }

func (c *compiler) datePart(name string, arg parse.Value) (expr, error) {
	if list, ok := arg.(parse.Array); ok && len(list) == 1 {
		arg = list[0]
	}
	part := dateParts[name]
	return c.callNamed(name, namedFunction{"date", "timezone", "date", func(_ *run, a arguments) (parse.Value, error) {
		t, ok, err := instant(name, a, "date")
		if err != nil || !ok {
			return nil, err
		}
		return float64(part(t)), nil
	}}, arg)
}

// instant reads a date in its time zone; ok is false if either is null.
func instant(op string, a arguments, name string) (t time.Time, ok bool, err error) {
	v := a[name]
	if absent(v) {
		return t, false, nil
	}
	d, ok := v.(parse.Date)
	if !ok {
		return t, false, errorf("%s: can't convert from BSON type %s to Date", op, typeName(v))
	}
	loc, ok, err := location(a)
	if err != nil || !ok {
		return t, false, err
	}
	return d.Time().In(loc), true, nil
}

// location reads the argument timezone; ok is false if it is null.
func location(a arguments) (loc *time.Location, ok bool, err error) {
	v, given := a["timezone"]
	switch {
	case !given:
		return time.UTC, true, nil
	case absent(v):
		return nil, false, nil
	}
	name, _ := v.(string)
	if loc, err = zone(name); err != nil {
		return nil, false, errorf("unrecognized time zone identifier: %q", name)
	}
	return loc, true, nil
}

// zone reads the name of a time zone, or an offset such as +02:00, +0200 or +02.
func zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("no time zone %q", name)
	}
	if name[0] != '+' && name[0] != '-' {
		return time.LoadLocation(name)
	}
	for _, layout := range [...]string{"-07:00", "-0700", "-07"} {
		if t, err := time.Parse(layout, name); err == nil {
			_, offset := t.Zone()
			return time.FixedZone(name, offset), nil
		}
	}
	return nil, fmt.Errorf("no offset %q", name)
}

func dateToString(_ *run, a arguments) (parse.Value, error) {
	t, ok, err := instant("$dateToString", a, "date")
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return a.get("onNull"), nil
	}
	v, given := a["format"]
	if !given {
		format := "%Y-%m-%dT%H:%M:%S.%L"
		if _, zoned := a["timezone"]; !zoned {
			format += "Z"
		}
		return formatDate(t, format)
	}
	if absent(v) {
		return nil, nil
	}
	format, ok := v.(string)
	if !ok {
		return nil, errorf("$dateToString requires that 'format' be a string, found: %s", typeName(v))
	}
	return formatDate(t, format)
}

func formatDate(t time.Time, format string) (parse.Value, error) {
	isoYear, isoWeek := t.ISOWeek()
	_, offset := t.Zone()
	sign := '+'
	if offset < 0 {
		sign = '-'
	}
	minutes := max(offset, -offset) / 60
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return nil, errorf("Unmatched '%%' at end of format string")
		}
		switch format[i] {
		case 'Y':
			fmt.Fprintf(&b, "%04d", t.Year())
		case 'm':
			fmt.Fprintf(&b, "%02d", int(t.Month()))
		case 'd':
			fmt.Fprintf(&b, "%02d", t.Day())
		case 'H':
			fmt.Fprintf(&b, "%02d", t.Hour())
		case 'M':
			fmt.Fprintf(&b, "%02d", t.Minute())
		case 'S':
			fmt.Fprintf(&b, "%02d", t.Second())
		case 'L':
			fmt.Fprintf(&b, "%03d", t.Nanosecond()/1e6)
		case 'j':
			fmt.Fprintf(&b, "%03d", t.YearDay())
		case 'w':
			fmt.Fprintf(&b, "%d", int(t.Weekday())+1)
		case 'u':
			fmt.Fprintf(&b, "%d", (int(t.Weekday())+6)%7+1)
		case 'U':
			fmt.Fprintf(&b, "%02d", week(t))
		case 'V':
			fmt.Fprintf(&b, "%02d", isoWeek)
		case 'G':
			fmt.Fprintf(&b, "%04d", isoYear)
		case 'b':
			b.WriteString(t.Format("Jan"))
		case 'B':
			b.WriteString(t.Format("January"))
		case 'z':
			fmt.Fprintf(&b, "%c%02d%02d", sign, minutes/60, minutes%60)
		case 'Z':
			fmt.Fprintf(&b, "%c%03d", sign, minutes)
		case '%':
			b.WriteByte('%')
		default:
			return nil, errorf("Invalid format character '%%%c' in format string", format[i])
		}
	}
	return b.String(), nil
}
