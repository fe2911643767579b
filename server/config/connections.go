package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Connections is the option connectionLimits. What is nil is the default; 0 is
// no limit.
type Connections struct {
	HeaderTimeout, BodyTimeout, IdleTimeout *time.Duration
	Rate                                    *int // bytes a second
	HeaderBytes, Headers, Connections       *int
	Memory                                  Memory
}

// Memory is what requests together may take, in bytes; 0: the default.
type Memory struct {
	Bodies, Answers int64 // large ones
}

// Connections reads connectionLimits.
func (c *Config) Connections() (Connections, error) {
	var out Connections
	m, err := object(c.ConnectionLimits)
	if err != nil {
		return out, errors.New("connectionLimits must be an object.")
	}
	times := map[string]**time.Duration{
		"headerTimeout": &out.HeaderTimeout, "bodyTimeout": &out.BodyTimeout, "idleTimeout": &out.IdleTimeout,
	}
	counts := map[string]**int{
		"bytesPerSecond": &out.Rate, "headerBytes": &out.HeaderBytes, "headers": &out.Headers, "connections": &out.Connections,
	}
	sizes := map[string]*int64{"bodyMemory": &out.Memory.Bodies, "answerMemory": &out.Memory.Answers}
	for _, name := range sorted(m) {
		n, isNumber := m[name].(float64)
		whole := isNumber && n == float64(int(n)) && n >= 0 && n <= 1<<30
		switch {
		case times[name] != nil:
			if !isNumber || n < 0 || n > 24*60*60*1000 {
				return out, fmt.Errorf("connectionLimits.%s must be a number of milliseconds, at most a day; 0 is no limit.", name)
			}
			d := time.Duration(n * float64(time.Millisecond))
			*times[name] = &d
		case counts[name] != nil:
			if !whole {
				return out, fmt.Errorf("connectionLimits.%s must be a whole number that is not negative; 0 is no limit.", name)
			}
			v := int(n)
			*counts[name] = &v
		case sizes[name] != nil:
			s, _ := m[name].(string)
			if isNumber {
				s = strconv.FormatFloat(n, 'f', -1, 64)
			}
			if *sizes[name], err = size(s); err != nil {
				return out, fmt.Errorf("connectionLimits.%s must be a size such as 256mb, not %v.", name, m[name])
			}
		default:
			return out, fmt.Errorf("connectionLimits contains unknown property '%s'.", name)
		}
	}
	return out, nil
}

// size reads a number of bytes, with a unit or without.
func size(s string) (int64, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	unit := int64(1)
	for suffix, f := range map[string]int64{"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = strings.TrimSpace(rest), f
			break
		}
	}
	var n json.Number
	if err := json.Unmarshal([]byte(strings.TrimSuffix(s, "b")), &n); err != nil {
		return 0, errors.New("not a size")
	}
	f, err := n.Float64()
	if err != nil || f <= 0 || f > 1<<30 {
		return 0, errors.New("not a size")
	}
	return int64(f * float64(unit)), nil
}
