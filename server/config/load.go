package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// option is one field of Config with its tags.
type option struct {
	name, env, help string
	secret          bool
	index           int
}

var options = func() []option {
	t := reflect.TypeFor[Config]()
	var out []option
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("opt")
		if name == "" || name == "-" {
			continue
		}
		_, secret := f.Tag.Lookup("secret")
		out = append(out, option{name, f.Tag.Get("env"), f.Tag.Get("help"), secret, i})
	}
	return out
}()

func optionByName(name string) (option, bool) {
	i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
	if i < 0 {
		return option{}, false
	}
	return options[i], true
}

// known lists the options of Parse Server that this version accepts without
// serving them, so that an existing configuration starts; each one set is told
// in Config.Warnings. Options that tighten security are refused instead, in refused.
var known = strings.Fields(`analyticsAdapter
	cluster
	directAccess
	enableCollationCaseComparison enableExpressErrorHandler
	encryptionKey fileDownload fileKey
	filesAdapter fileUpload graphQLPath graphQLPublicIntrospection graphQLSchema
	loggerAdapter logLevels logsFolder maxLogFiles masterKeyTtl middleware mountGraphQL mountPlayground
	playgroundPath preserveFileName protectedFieldsTriggerExempt push
	requestContextMiddleware scheduledPush serverCloseComplete
	verifyServerUrl`)

// refused lists options whose silent absence would leave a server less
// protected than its operator believes.
var refused = strings.Fields(`databaseAdapter`)

// Load builds a configuration from, in rising order of precedence, the
// defaults, a JSON file (flag --config or one positional argument), the
// environment and the flags. Errors are Problems with every one listed.
func Load(args []string, environ []string) (Config, error) {
	c := Default()
	var p Problems
	flags, file := parseFlags(args, &p)
	if file != "" {
		c.loadFile(file, &p)
	}
	env := make(map[string]string, len(environ))
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	for _, o := range options {
		if v := env[o.env]; v != "" && o.env != "" {
			if err := c.setText(o, v); err != nil {
				p.addf("environment variable %s: %s", o.env, err)
			}
		}
	}
	for into, variables := range map[*json.RawMessage]map[string]string{
		&c.DatabaseOptions: databaseVariables, &c.Query: queryVariables, &c.Schema: schemaVariables, &c.SecurityOptions: securityVariables,
	} {
		for name, opt := range variables {
			if v := env[name]; v != "" {
				if err := setPart(into, opt, v); err != nil {
					p.addf("environment variable %s: %s", name, err)
				}
			}
		}
	}
	for _, name := range slices.Concat(known, refused) {
		if env[variable(name)] != "" {
			c.acceptKnown(name, &p)
		}
	}
	for _, f := range flags {
		o, ok := optionByName(f.name)
		if !ok {
			if !c.acceptKnown(f.name, &p) {
				p.addf("unknown option '--%s'", f.name)
			}
			continue
		}
		if err := c.setText(o, f.value); err != nil {
			p.addf("flag --%s: %s", f.name, err)
		}
	}
	for name, part := range schemaVariables {
		// Left out silently, it could leave the schema open.
		if env[name] != "" && strings.HasPrefix(string(c.Schema), `"`) {
			p.addf("environment variable %s: the option schema names a file: set %s there", name, part)
		}
	}
	if use, err := c.DatabaseUse(); err == nil {
		if db, err := c.Database(); err == nil && db.Kind != MongoDB {
			use.Ignored = append(use.Ignored, slices.Sorted(maps.Keys(use.Driver))...)
		}
		for _, name := range use.Ignored {
			c.Warnings = append(c.Warnings, fmt.Sprintf("option databaseOptions.%s has no effect", name))
		}
	}
	c.Warnings = append(c.Warnings, c.legacyWarnings()...)
	if err := c.Validate(); err != nil {
		var more Problems
		errors.As(err, &more)
		p = append(p, more...)
	}
	if len(p) > 0 {
		return c, p
	}
	return c, nil
}

// variable is the environment variable that Parse Server has for an option.
func variable(name string) string {
	b := []byte("PARSE_SERVER_")
	for i := range len(name) {
		ch := name[i]
		switch {
		case ch >= 'A' && ch <= 'Z':
			if name[i-1] > 'Z' { // cacheTTL is CACHE_TTL
				b = append(b, '_')
			}
			b = append(b, ch)
		case ch >= 'a' && ch <= 'z':
			b = append(b, ch-'a'+'A')
		default:
			b = append(b, ch)
		}
	}
	return string(b)
}

type flagValue struct{ name, value string }

func parseFlags(args []string, p *Problems) (flags []flagValue, file string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		name, isFlag := strings.CutPrefix(a, "--")
		if !isFlag || name == "" {
			if file != "" || strings.HasPrefix(a, "-") {
				p.addf("unexpected argument %q", a)
				continue
			}
			file = a
			continue
		}
		name, value, has := strings.Cut(name, "=")
		if !has {
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
				i++
				value = args[i]
			} else {
				value = "true" // a flag without a value
			}
		}
		if name == "config" {
			file = value
			continue
		}
		flags = append(flags, flagValue{name, value})
	}
	return flags, file
}

func (c *Config) loadFile(file string, p *Problems) {
	data, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		p.addf("config file: %s", err)
		return
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		p.addf("config file %s is not a JSON object: %s", file, err)
		return
	}
	if apps, ok := m["apps"]; ok {
		var list []map[string]json.RawMessage
		if err := json.Unmarshal(apps, &list); err != nil || len(list) == 0 {
			p.addf("config file %s: apps must be a list of option objects", file)
			return
		}
		if len(list) > 1 {
			p.addf("Multiple apps are not supported")
			return
		}
		m = list[0]
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		o, ok := optionByName(name)
		if !ok {
			if !c.acceptKnown(name, p) {
				p.addf("unknown option %s", name)
			}
			continue
		}
		if err := c.setJSON(o, m[name]); err != nil {
			p.addf("option %s: %s", name, err)
		}
	}
}

// acceptKnown notes an option of Parse Server that pargo does not serve yet.
func (c *Config) acceptKnown(name string, p *Problems) bool {
	switch {
	case slices.Contains(refused, name):
		p.addf("option %s is not served by this version of pargo, and leaving it out silently would weaken the server", name)
		return true
	case slices.Contains(known, name):
		c.Warnings = append(c.Warnings, fmt.Sprintf("option %s has no effect in this version", name))
		return true
	}
	return false
}

func (c *Config) setJSON(o option, raw json.RawMessage) error {
	if string(raw) == "null" {
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil && o.name != "schema" {
		return c.setText(o, s)
	}
	f := reflect.ValueOf(c).Elem().Field(o.index)
	switch f.Kind() { //nolint:exhaustive // the kinds that Config has
	case reflect.String:
		if o.secret {
			return errors.New("must be a string")
		}
		return fmt.Errorf("must be a string, not %s", raw)
	case reflect.Bool:
		// As the reference has it, anything but true and 1 is false.
		f.SetBool(string(raw) == "true" || string(raw) == "1")
		return nil
	case reflect.Int:
		var n float64
		if err := json.Unmarshal(raw, &n); err != nil || n != float64(int(n)) {
			return fmt.Errorf("must be a whole number, not %s", raw)
		}
		f.SetInt(int64(n))
		return nil
	case reflect.Slice:
		if f.Type().Elem().Kind() == reflect.Uint8 { // json.RawMessage
			f.SetBytes(slices.Clone(raw))
			return nil
		}
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f.Addr().Interface()); err != nil {
		return fmt.Errorf("is not valid: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func (c *Config) setText(o option, s string) error {
	f := reflect.ValueOf(c).Elem().Field(o.index)
	switch f.Kind() { //nolint:exhaustive // the kinds that Config has
	case reflect.String:
		f.SetString(s)
		return nil
	case reflect.Bool:
		f.SetBool(s == "true" || s == "1")
		return nil
	case reflect.Int:
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("Key %s has invalid value %s", o.name, s)
		}
		f.SetInt(int64(n))
		return nil
	case reflect.Slice:
		if f.Type().Elem().Kind() == reflect.Uint8 {
			if json.Valid([]byte(s)) {
				f.SetBytes([]byte(s))
				return nil
			}
			quoted, err := json.Marshal(s) // a path
			if err != nil {
				return err
			}
			f.SetBytes(quoted)
			return nil
		}
		if strings.HasPrefix(s, "[") {
			return c.setJSON(o, json.RawMessage(s))
		}
		var list []string
		for part := range strings.SplitSeq(s, ",") {
			list = append(list, strings.TrimSpace(part))
		}
		f.Set(reflect.ValueOf(list))
		return nil
	case reflect.Interface:
		f.Set(reflect.ValueOf(s))
		return nil
	case reflect.Struct:
		if !json.Valid([]byte(s)) {
			return errors.New("must be a JSON object")
		}
		return c.setJSON(o, json.RawMessage(s))
	}
	return fmt.Errorf("cannot be given as text")
}

// Help writes the list of options: flag, environment variable, default, meaning.
func Help(w io.Writer) error {
	d := reflect.ValueOf(Default())
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, o := range options {
		def := ""
		switch v := d.Field(o.index).Interface().(type) {
		case json.RawMessage:
			def = string(v)
		case []string:
			def = strings.Join(v, ",")
		case LiveQuery, LiveQueryOptions, nil:
		default:
			def = fmt.Sprint(v)
		}
		if def != "" && def != "0" && def != "false" {
			def = " (default " + def + ")"
		} else {
			def = ""
		}
		if _, err := fmt.Fprintf(tw, "  --%s\t%s\t%s%s\n", o.name, o.env, o.help, def); err != nil {
			return err
		}
	}
	return tw.Flush()
}
