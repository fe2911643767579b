package aggregate

import (
	"math"
	"strconv"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// conversion is $toString, $toInt and the like.
func conversion(to string) func(*run, []parse.Value) (parse.Value, error) {
	return func(_ *run, a []parse.Value) (parse.Value, error) { return convertTo(a[0], to) }
}

func convert(_ *run, a arguments) (parse.Value, error) {
	to, isText := a["to"].(string)
	if n, ok := number(a["to"]); ok {
		to, isText = typeNames[n]
	}
	if m, ok := a["to"].(*parse.Map); ok {
		to = m.String("type")
		isText = to != ""
	}
	switch {
	case absent(a["input"]):
		return a.get("onNull"), nil
	case absent(a["to"]):
		return nil, nil
	case !isText || !convertible[to]:
		return nil, errorf("$convert: unknown or unsupported type %s", parse.AppendJSON(nil, a["to"]))
	}
	v, err := convertTo(a["input"], to)
	if other, given := a["onError"]; err != nil && given {
		return other, nil
	}
	return v, err
}

// convertible are the types that values can be converted to. MongoDB's ids of
// objects are texts here, and its decimals the floats that they are in JSON.
var convertible = map[string]bool{
	"string": true, "bool": true, "int": true, "long": true, "double": true, "decimal": true, "date": true, "objectId": true,
}

func convertTo(v parse.Value, to string) (parse.Value, error) {
	if absent(v) {
		return nil, nil
	}
	switch to {
	case "string":
		return asText(v)
	case "bool":
		return truth(v), nil
	case "date":
		return asDate(v)
	case "objectId":
		if s, ok := v.(string); ok && len(s) == 24 && strings.Trim(strings.ToLower(s), "0123456789abcdef") == "" {
			return strings.ToLower(s), nil
		}
		return nil, unconvertible(v, to)
	}
	return asNumber(v, to)
}

func unconvertible(v parse.Value, to string) error {
	return errorf("Unsupported conversion from %s to %s in $convert with no onError value", typeName(v), to)
}

func asText(v parse.Value) (parse.Value, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, float64, parse.Int:
		return string(parse.AppendJSON(nil, v)), nil
	case parse.Date:
		return v.String(), nil
	}
	return nil, unconvertible(v, "string")
}

func asDate(v parse.Value) (parse.Value, error) {
	switch v := v.(type) {
	case parse.Date:
		return v, nil
	case float64:
		return dateOf(math.Trunc(v))
	case string:
		if d, ok := parseDate(v); ok {
			return d, nil
		}
		return nil, errorf("Error parsing date string '%s' in $convert with no onError value", v)
	}
	return nil, unconvertible(v, "date")
}

func asNumber(v parse.Value, to string) (parse.Value, error) {
	integral := to == "int" || to == "long"
	var n float64
	switch v := v.(type) {
	case bool:
		if v {
			n = 1
		}
	case float64:
		n = v
	case parse.Int:
		switch to {
		case "int":
			return nil, overflow()
		case "long":
			return v, nil
		}
		return float64(v), nil
	case parse.Date:
		if to == "int" {
			return nil, unconvertible(v, to)
		}
		n = float64(v)
	case string:
		if integral {
			i, err := strconv.ParseInt(v, 10, 64)
			if err != nil || to == "int" && i != int64(int32(i)) {
				return nil, errorf("Failed to parse number '%s' in $convert with no onError value", v)
			}
			return fromInt(i), nil
		}
		var err error
		if n, err = strconv.ParseFloat(v, 64); err != nil || strings.ContainsAny(v, "xXpP_") {
			return nil, errorf("Failed to parse number '%s' in $convert with no onError value", v)
		}
	default:
		return nil, unconvertible(v, to)
	}
	if !integral {
		return n, nil
	}
	n = math.Trunc(n)
	if to == "int" && (n > math.MaxInt32 || n < math.MinInt32) || math.Abs(n) >= 1<<63 || n != n {
		return nil, overflow()
	}
	return fromInt(int64(n)), nil
}

func overflow() error {
	return errorf("Conversion would overflow target type in $convert with no onError value")
}

func binarySize(_ *run, a []parse.Value) (parse.Value, error) {
	switch v := a[0].(type) {
	case missing, nil:
		return nil, nil
	case string:
		return float64(len(v)), nil
	case parse.Bytes:
		return float64(len(v)), nil
	}
	return nil, errorf("$binarySize requires a string or BinData argument, found: %s", typeName(a[0]))
}

func bsonSize(_ *run, a []parse.Value) (parse.Value, error) {
	if absent(a[0]) {
		return nil, nil
	}
	m, ok := a[0].(*parse.Map)
	if !ok {
		return nil, errorf("$bsonSize requires a document input, found: %s", typeName(a[0]))
	}
	return float64(bsonLength(m)), nil
}

// bsonLength is the length of a value in BSON, as MongoDB stores it.
func bsonLength(v parse.Value) int {
	switch v := v.(type) {
	case string:
		return 5 + len(v)
	case bool:
		return 1
	case parse.Int, parse.Date:
		return 8
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= math.MaxInt32 {
			return 4
		}
		return 8
	case parse.Bytes:
		return 5 + len(v)
	case parse.Array:
		n := 5
		for i, e := range v {
			n += 2 + len(strconv.Itoa(i)) + bsonLength(e)
		}
		return n
	case *parse.Map:
		n := 5
		for k, e := range v.All() {
			n += 2 + len(k) + bsonLength(e)
		}
		return n
	}
	return 0
}

func getField(_ *run, a arguments) (parse.Value, error) {
	name, ok := a["field"].(string)
	if !ok {
		return nil, errorf("$getField requires 'field' to evaluate to a String, but got %s", typeName(a["field"]))
	}
	v := a["input"]
	switch v.(type) {
	case missing:
		return missing{}, nil
	case nil:
		return nil, nil
	}
	return field(v, name), nil
}

func setField(op string) func(r *run, a arguments) (parse.Value, error) {
	return func(_ *run, a arguments) (parse.Value, error) {
		name, ok := a["field"].(string)
		if !ok {
			return nil, errorf("%s requires 'field' to evaluate to a String, but got %s", op, typeName(a["field"]))
		}
		if absent(a["input"]) {
			return nil, nil
		}
		m, ok := a["input"].(*parse.Map)
		if !ok {
			return nil, errorf("%s requires 'input' to evaluate to type Object, but got %s", op, typeName(a["input"]))
		}
		v := a["value"]
		if op == "$unsetField" {
			v = missing{}
		}
		return set(m, []string{name}, v), nil
	}
}
