package aggregate

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// unit is a unit of time. Those up to the day of a fixed length have a
// duration, the others months.
type unit struct {
	length time.Duration
	months int
}

// units is a constant table. A day and a week are of a fixed length only
// without regard to clocks that are put forward or back.
var units = map[string]unit{
	"year": {months: 12}, "quarter": {months: 3}, "month": {months: 1},
	"week": {length: 7 * 24 * time.Hour}, "day": {length: 24 * time.Hour},
	"hour": {length: time.Hour}, "minute": {length: time.Minute}, "second": {length: time.Second}, "millisecond": {length: time.Millisecond},
}

// unitArg reads a unit; ok is false if it is null.
func unitArg(op string, v parse.Value) (name string, u unit, ok bool, err error) {
	if absent(v) {
		return "", u, false, nil
	}
	name, _ = v.(string)
	if u, ok = units[name]; !ok {
		return "", u, false, errorf("%s: unknown time unit value: %s", op, parse.AppendJSON(nil, v))
	}
	return name, u, true, nil
}

// addMonths adds months and keeps the day, or takes the last one of the month
// if that is shorter.
func addMonths(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return time.Date(first.Year(), first.Month(), min(d, last), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
}

// addUnits adds n units; days and longer ones by the calendar of t's time zone.
func addUnits(t time.Time, name string, u unit, n int64) time.Time {
	switch {
	case u.months > 0:
		return addMonths(t, int(n)*u.months)
	case name == "day":
		return t.AddDate(0, 0, int(n))
	case name == "week":
		return t.AddDate(0, 0, 7*int(n))
	}
	return time.UnixMilli(t.UnixMilli() + n*u.length.Milliseconds()).In(t.Location())
}

// mostUnits keeps sums of dates and amounts where int64 and the calendar do not overflow.
const mostUnits = 1 << 42

func dateAdd(op string, sign int64) func(r *run, a arguments) (parse.Value, error) {
	return func(_ *run, a arguments) (parse.Value, error) {
		t, ok, err := instant(op, a, "startDate")
		if err != nil || !ok {
			return nil, err
		}
		name, u, ok, err := unitArg(op, a["unit"])
		if err != nil || !ok || absent(a["amount"]) {
			return nil, err
		}
		n, ok := integer(a["amount"])
		if !ok {
			return nil, errorf("%s expects integer amount of time units", op)
		}
		most := int64(mostUnits)
		if u.months > 0 || u.length >= 24*time.Hour {
			most = 1e8
		}
		if n > most || n < -most {
			return nil, errorf("%s overflowed: the amount %d is out of range", op, n)
		}
		return dateOf(float64(addUnits(t, name, u, sign*n).UnixMilli()))
	}
}

// startOfWeek reads the day on which weeks begin; ok is false if it is null.
func startOfWeek(op string, a arguments) (day time.Weekday, ok bool, err error) {
	v, given := a["startOfWeek"]
	switch {
	case !given:
		return time.Sunday, true, nil
	case absent(v):
		return 0, false, nil
	}
	s, _ := v.(string)
	s = strings.ToLower(s)
	for d := time.Sunday; d <= time.Saturday; d++ {
		if full := strings.ToLower(d.String()); s == full || s == full[:3] {
			return d, true, nil
		}
	}
	return 0, false, errorf("%s: unknown day of week value: %s", op, parse.AppendJSON(nil, v))
}

// dayNumber counts the days of the calendar, without regard to time zones.
func dayNumber(t time.Time) int64 {
	y, m, d := t.Date()
	return floorDiv(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix(), 24*60*60)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// weekNumber counts the weeks that begin on a day; 1970-01-01 was a Thursday.
func weekNumber(day int64, first time.Weekday) int64 {
	return floorDiv(day+int64(time.Thursday)-int64(first), 7)
}

func monthNumber(t time.Time) int64 { return int64(t.Year())*12 + int64(t.Month()) - 1 }

func dateDiff(_ *run, a arguments) (parse.Value, error) {
	const op = "$dateDiff"
	from, ok, err := instant(op, a, "startDate")
	if err != nil || !ok {
		return nil, err
	}
	to, ok, err := instant(op, a, "endDate")
	if err != nil || !ok {
		return nil, err
	}
	name, u, ok, err := unitArg(op, a["unit"])
	if err != nil || !ok {
		return nil, err
	}
	first, ok, err := startOfWeek(op, a)
	if err != nil || !ok {
		return nil, err
	}
	switch {
	case u.months > 0:
		return float64(floorDiv(monthNumber(to), int64(u.months)) - floorDiv(monthNumber(from), int64(u.months))), nil
	case name == "week":
		return float64(weekNumber(dayNumber(to), first) - weekNumber(dayNumber(from), first)), nil
	case name == "day":
		return float64(dayNumber(to) - dayNumber(from)), nil
	}
	ms := u.length.Milliseconds()
	return float64(floorDiv(localMillis(to), ms) - floorDiv(localMillis(from), ms)), nil
}

// localMillis is what the clock on the wall shows, as if it were UTC; with
// time zones that differ from it by half hours the hours begin at other times.
func localMillis(t time.Time) int64 {
	_, offset := t.Zone()
	return t.UnixMilli() + int64(offset)*1000
}

func dateTrunc(_ *run, a arguments) (parse.Value, error) {
	const op = "$dateTrunc"
	t, ok, err := instant(op, a, "date")
	if err != nil || !ok {
		return nil, err
	}
	name, u, ok, err := unitArg(op, a["unit"])
	if err != nil || !ok {
		return nil, err
	}
	size := int64(1)
	if v, given := a["binSize"]; given {
		if absent(v) {
			return nil, nil
		}
		if size, ok = integer(v); !ok || size < 1 || size > 1e11 {
			return nil, errorf("$dateTrunc requires 'binSize' to be a positive integer")
		}
	}
	first, ok, err := startOfWeek(op, a)
	if err != nil || !ok {
		return nil, err
	}
	return truncate(t, name, u, size, first)
}

// truncate gives the beginning of the bin of time that t lies in. Bins are
// counted from 2000-01-01 in the time zone of t.
func truncate(t time.Time, name string, u unit, size int64, first time.Weekday) (parse.Value, error) {
	loc := t.Location()
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, loc)
	var out time.Time
	switch {
	case u.months > 0:
		bin := size * int64(u.months)
		n := floorDiv(monthNumber(t)-monthNumber(epoch), bin) * bin
		out = addMonths(epoch, int(n))
	case name == "week" || name == "day":
		base := dayNumber(epoch)
		if name == "week" {
			base += int64((first - epoch.Weekday() + 7) % 7) // the first such day on or after the epoch
			size *= 7
		}
		n := floorDiv(dayNumber(t)-base, size)*size + base - dayNumber(epoch)
		out = epoch.AddDate(0, 0, int(n))
	default:
		bin := u.length.Milliseconds() * size
		if bin <= 0 || bin/size != u.length.Milliseconds() {
			return nil, errorf("$dateTrunc: binSize is out of range")
		}
		out = time.UnixMilli(epoch.UnixMilli() + floorDiv(t.UnixMilli()-epoch.UnixMilli(), bin)*bin)
	}
	return dateOf(float64(out.UnixMilli()))
}

// dateParam reads one part of $dateFromParts.
func dateParam(a arguments, name string, def, least, most int) (n int, ok bool, err error) {
	v, given := a[name]
	switch {
	case !given:
		return def, true, nil
	case absent(v):
		return 0, false, nil
	}
	n, ok = whole(v)
	if !ok || n < least || n > most {
		return 0, false, errorf("'%s' must evaluate to an integer in the range %d to %d, found %s", name, least, most, parse.AppendJSON(nil, v))
	}
	return n, true, nil
}

func dateFromParts(_ *run, a arguments) (parse.Value, error) {
	loc, ok, err := location(a)
	if err != nil || !ok {
		return nil, err
	}
	_, iso := a["isoWeekYear"]
	if _, given := a["year"]; iso == given {
		return nil, errorf("$dateFromParts requires either 'year' or 'isoWeekYear' to be present")
	}
	names := [...]string{"year", "month", "day", "hour", "minute", "second", "millisecond"}
	if iso {
		names = [...]string{"isoWeekYear", "isoWeek", "isoDayOfWeek", "hour", "minute", "second", "millisecond"}
	}
	for k := range a {
		if k != "timezone" && !slices.Contains(names[:], k) {
			return nil, errorf("$dateFromParts does not allow mixing '%s' with '%s'", k, names[0])
		}
	}
	var n [7]int
	for i, name := range names {
		def, least, most := 0, -32768, 32767
		switch {
		case i == 0:
			least, most = 1, 9999
		case i < 3:
			def = 1
		case i == 6:
			least, most = math.MinInt32, math.MaxInt32
		}
		if n[i], ok, err = dateParam(a, name, def, least, most); err != nil || !ok {
			return nil, err
		}
	}
	month, day := n[1], n[2]
	if iso {
		// The first week of a year is that with the 4th of January.
		fourth := time.Date(n[0], 1, 4, 0, 0, 0, 0, time.UTC)
		monday := 4 - (int(fourth.Weekday())+6)%7
		month, day = 1, monday+7*(n[1]-1)+n[2]-1
	}
	t := time.Date(n[0], time.Month(month), day, n[3], n[4], n[5], 0, loc)
	return dateOf(float64(t.UnixMilli() + int64(n[6])))
}

func dateToParts(_ *run, a arguments) (parse.Value, error) {
	t, ok, err := instant("$dateToParts", a, "date")
	if err != nil || !ok {
		return nil, err
	}
	iso := false
	if v, given := a["iso8601"]; given {
		if absent(v) {
			return nil, nil
		}
		if iso, ok = v.(bool); !ok {
			return nil, errorf("iso8601 must evaluate to a bool, found %s", typeName(v))
		}
	}
	names := [...]string{"$year", "$month", "$dayOfMonth", "$hour", "$minute", "$second", "$millisecond"}
	keys := [...]string{"year", "month", "day", "hour", "minute", "second", "millisecond"}
	if iso {
		names[0], names[1], names[2] = "$isoWeekYear", "$isoWeek", "$isoDayOfWeek"
		keys[0], keys[1], keys[2] = "isoWeekYear", "isoWeek", "isoDayOfWeek"
	}
	out := &parse.Map{}
	for i, name := range names {
		out.Set(keys[i], float64(dateParts[name](t)))
	}
	return out, nil
}

func dateFromString(_ *run, a arguments) (parse.Value, error) {
	if absent(a["dateString"]) {
		return a.get("onNull"), nil
	}
	d, err := dateFrom(a)
	if other, given := a["onError"]; err != nil && given {
		return other, nil
	}
	return d, err
}

func dateFrom(a arguments) (parse.Value, error) {
	s, ok := a["dateString"].(string)
	if !ok {
		return nil, errorf("$dateFromString requires that 'dateString' be a string, found: %s", typeName(a["dateString"]))
	}
	loc, ok, err := location(a)
	if err != nil || !ok {
		return nil, err
	}
	format, given := a["format"]
	if given && absent(format) {
		return nil, nil
	}
	var t time.Time
	if given {
		text, isText := format.(string)
		if !isText {
			return nil, errorf("$dateFromString requires that 'format' be a string, found: %s", typeName(format))
		}
		t, ok = scanDate(s, text, loc)
	} else {
		t, ok = dateIn(s, loc)
	}
	if !ok {
		return nil, errorf("Error parsing date string '%s'", s)
	}
	return dateOf(float64(t.UnixMilli()))
}

// dateLayouts are the forms of dates that are read without a format.
var dateLayouts = [...]string{
	"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "2006-01-02",
}

func dateIn(s string, loc *time.Location) (time.Time, bool) {
	for _, layout := range dateLayouts {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func parseDate(s string) (parse.Date, bool) {
	t, ok := dateIn(s, time.UTC)
	return parse.NewDate(t), ok
}

// scanner reads a date by a format.
type scanner struct {
	rest string
	ok   bool
}

// number reads up to most digits, and at least one.
func (x *scanner) number(most int) int {
	i := 0
	for i < len(x.rest) && i < most && x.rest[i] >= '0' && x.rest[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(x.rest[:i])
	x.ok = x.ok && err == nil
	x.rest = x.rest[i:]
	return n
}

// month reads the name of a month, short or long.
func (x *scanner) month(layout string) int {
	for m := time.January; m <= time.December; m++ {
		name := m.String()
		if layout == "b" {
			name = name[:3]
		}
		if len(x.rest) >= len(name) && strings.EqualFold(x.rest[:len(name)], name) {
			x.rest = x.rest[len(name):]
			return int(m)
		}
	}
	x.ok = false
	return 0
}

// offset reads +hh:mm, +hhmm, Z, or minutes with a sign.
func (x *scanner) offset(minutes bool) *time.Location {
	end := strings.IndexFunc(x.rest, func(c rune) bool { return !strings.ContainsRune("+-:0123456789Z", c) })
	if end < 0 {
		end = len(x.rest)
	}
	text := x.rest[:end]
	x.rest = x.rest[end:]
	if minutes {
		n, err := strconv.Atoi(text)
		x.ok = x.ok && err == nil && n > -1440 && n < 1440
		return time.FixedZone("", n*60)
	}
	if text == "Z" {
		return time.UTC
	}
	loc, err := zone(text)
	x.ok = x.ok && err == nil
	return loc
}

func scanDate(s, format string, loc *time.Location) (time.Time, bool) {
	x := &scanner{rest: s, ok: true}
	var p struct{ hour, minute, second, milli, day, month, year, dayOfYear, isoYear, isoWeek, isoDay int }
	p.month, p.day, p.isoDay = 1, 1, 1
	for i := 0; i < len(format) && x.ok; i++ {
		if format[i] != '%' {
			x.ok = strings.HasPrefix(x.rest, format[i:i+1])
			if x.ok {
				x.rest = x.rest[1:]
			}
			continue
		}
		if i++; i == len(format) {
			return time.Time{}, false
		}
		switch format[i] {
		case 'Y':
			p.year = x.number(4)
		case 'm':
			p.month = x.number(2)
		case 'd':
			p.day = x.number(2)
		case 'H':
			p.hour = x.number(2)
		case 'M':
			p.minute = x.number(2)
		case 'S':
			p.second = x.number(2)
		case 'L':
			p.milli = x.number(3)
		case 'j':
			p.dayOfYear = x.number(3)
		case 'G':
			p.isoYear = x.number(4)
		case 'V':
			p.isoWeek = x.number(2)
		case 'u':
			p.isoDay = x.number(1)
		case 'b', 'B':
			p.month = x.month(format[i : i+1])
		case 'z', 'Z':
			loc = x.offset(format[i] == 'Z')
		case '%':
			x.ok = strings.HasPrefix(x.rest, "%")
			x.rest = strings.TrimPrefix(x.rest, "%")
		default:
			return time.Time{}, false
		}
	}
	if !x.ok || x.rest != "" || p.month < 1 || p.month > 12 || p.day < 1 || p.day > 31 || p.hour > 23 || p.minute > 59 || p.second > 59 {
		return time.Time{}, false
	}
	switch {
	case p.isoYear > 0 && p.isoWeek > 0:
		fourth := time.Date(p.isoYear, 1, 4, 0, 0, 0, 0, time.UTC)
		p.year, p.month, p.day = p.isoYear, 1, 4-(int(fourth.Weekday())+6)%7+7*(p.isoWeek-1)+p.isoDay-1
	case p.dayOfYear > 0:
		p.month, p.day = 1, p.dayOfYear
	}
	return time.Date(p.year, time.Month(p.month), p.day, p.hour, p.minute, p.second, p.milli*1e6, loc), p.year > 0
}
