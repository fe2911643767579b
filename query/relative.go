package query

import (
	"math"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// relativeOperator is what stands for a Date that depends on the time.
const relativeOperator = "$relativeTime"

// unitSeconds are the lengths of the units of a relative time.
var unitSeconds = map[string]int64{
	"yr": 31_536_000, "yrs": 31_536_000, "year": 31_536_000, "years": 31_536_000,
	"wk": 604_800, "wks": 604_800, "week": 604_800, "weeks": 604_800,
	"d": 86_400, "day": 86_400, "days": 86_400,
	"hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
	"min": 60, "mins": 60, "minute": 60, "minutes": 60,
	"sec": 1, "secs": 1, "second": 1, "seconds": 1,
}

// mostSeconds is as far from the epoch as a Date of the clients goes.
const mostSeconds = 8_640_000_000_000

// relative reads "now", "in 1 day 2 hrs" or "3 weeks ago". info says what is
// wrong with the text, "" if nothing is.
func relative(text string, now parse.Date) (d parse.Date, info string) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 1 && words[0] == "now" {
		return now, ""
	}
	future := len(words) > 0 && words[0] == "in"
	past := len(words) > 0 && words[len(words)-1] == "ago"
	switch {
	case future && past:
		return 0, "Time cannot have both 'in' and 'ago'"
	case future:
		words = words[1:]
	case past:
		words = words[:len(words)-1]
	default:
		return 0, "Time should either start with 'in' or end with 'ago'"
	}
	if len(words)%2 != 0 {
		return 0, "Invalid time string. Dangling unit or number."
	}
	var seconds int64
	for ; len(words) > 0; words = words[2:] {
		n, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return 0, "'" + words[0] + "' is not an integer."
		}
		unit, ok := unitSeconds[words[1]]
		if !ok {
			return 0, "Invalid interval: '" + words[1] + "'"
		}
		if math.Abs(float64(n)) > float64(mostSeconds/unit) {
			return 0, "The time is out of range."
		}
		if seconds += n * unit; seconds > mostSeconds || seconds < -mostSeconds {
			return 0, "The time is out of range."
		}
	}
	if past {
		seconds = -seconds
	}
	return now + parse.Date(seconds*1000), ""
}

// relativeTime returns the Date that {"$relativeTime": text} stands for now; ok
// is false for other values. op is Eq for operators without an order.
func (p *parser) relativeTime(v parse.Value, key string, op Op) (d parse.Date, ok bool, err error) {
	m, _ := v.(*parse.Map)
	value, ok := m.Get(relativeOperator)
	if !ok {
		return 0, false, nil
	}
	if op == Eq || op == Ne {
		return 0, false, parse.Errorf(parse.InvalidJSON, "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators")
	}
	text, _ := value.(string)
	d, info := relative(text, parse.NewDate(p.lim.Now()))
	if info != "" {
		return 0, false, parse.Errorf(parse.InvalidJSON, "bad $relativeTime (%s) value. %s", key, info)
	}
	return d, true, nil
}
