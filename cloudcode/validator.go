package cloudcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/parse"
)

// Validator checks a request before its hook or function runs (reference 06
// §8). It is an [Option]. What it refuses gets error 142. The master key passes
// without a check unless ValidateMasterKey is set. Of the hooks around login,
// logout and password resets only RateLimit is regarded.
type Validator struct {
	// RequireUser asks for a session; on sign-up the new user will do.
	RequireUser bool
	// RequireMaster asks for the master key.
	RequireMaster bool
	// ValidateMasterKey checks requests with the master key, too.
	ValidateMasterKey bool
	// SkipWithMasterKey passes over the hook (not over a function) for the master key.
	SkipWithMasterKey bool
	// RequireAnyUserRoles and RequireAllUserRoles name roles, without prefix,
	// that the user must have directly or by inheritance.
	RequireAnyUserRoles, RequireAllUserRoles []string
	// RequireUserKeys are fields that the user must have.
	RequireUserKeys []Field
	// Fields are checked in order: of the parameters, or of the object.
	Fields []Field
	// RateLimit bounds how often requests may come.
	RateLimit *RateLimit
	// Check is asked before all else; its error refuses.
	Check func(ctx context.Context, in Input) error
}

// Input is what a Validator looks at. Of Params and Object at most one is set.
type Input struct {
	Request          *Request
	Params           *parse.Map
	Object, Original *parse.Object

	save bool // before a save, so that the object may be changed
}

// FieldType is the type of a value as validators have it.
type FieldType string

// The types.
const (
	String  FieldType = "String"
	Number  FieldType = "Number"
	Boolean FieldType = "Boolean"
	Array   FieldType = "Array"
	Object  FieldType = "Object"
	Date    FieldType = "Date"
	Pointer FieldType = "Pointer"
)

// Field is a rule for one parameter or field.
type Field struct {
	Name string
	// Optional: it may be missing. Without it a missing or null one is refused.
	Optional bool
	Type     FieldType // "": any
	// Default, if not nil, takes the place of what is missing.
	Default parse.Value
	// Constant (before a save): a change is reverted; a create gets Default.
	Constant bool
	// Options, if there are any, are the values allowed.
	Options []parse.Value
	// Check refuses a value by an error.
	Check func(v parse.Value) error
	// Error replaces the text if Options or Check refuse.
	Error string
}

// RateLimit allows Count requests in each Window. Over it clients read error
// 100 with status 429.
type RateLimit struct {
	Count  int
	Window time.Duration
	// Methods are the verbs that count; nil: those of the trigger.
	Methods []string
	// Message; "": Too many requests.
	Message string
	// IncludeInternal limits requests from 127.0.0.1, IncludeMaster those with the master key.
	IncludeInternal, IncludeMaster bool
	// Zone is ip (""), user, session or global.
	Zone string
}

// Rate is a RateLimit of a hook or function, for the server.
type Rate struct {
	Trigger Trigger
	Name    string
	RateLimit
}

// Rates returns the rate limits of all validators.
func (a *App) Rates() []Rate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.rates)
}

// compile checks the rules themselves.
func (v *Validator) compile(t Trigger) error {
	var errs []error
	for _, f := range append(slices.Clone(v.Fields), v.RequireUserKeys...) {
		if f.Name == "" {
			errs = append(errs, errors.New("a field of the validator has no name"))
		}
		switch f.Type {
		case "", String, Number, Boolean, Array, Object, Date, Pointer:
		default:
			errs = append(errs, fmt.Errorf("field %s of the validator has the unknown type %q", f.Name, f.Type))
		}
	}
	if r := v.RateLimit; r != nil {
		switch {
		case r.Count <= 0 || r.Window <= 0:
			errs = append(errs, errors.New("a rate limit needs a count and a window above 0"))
		case !slices.Contains([]string{"", "ip", "user", "session", "global"}, r.Zone):
			errs = append(errs, fmt.Errorf("a rate limit has the unknown zone %q", r.Zone))
		}
		if slices.Contains([]Trigger{TriggerJob, TriggerBeforeConnect, TriggerBeforeSubscribe, TriggerAfterEvent}, t) {
			errs = append(errs, fmt.Errorf("%s cannot have a rate limit", t))
		}
	}
	return errors.Join(errs...)
}

const loginFirst = "Validation failed. Please login to continue."

func invalid(format string, args ...any) error {
	return parse.Errorf(parse.ValidationError, format, args...)
}

// run checks a request. skip: the hook is passed over.
func (v *Validator) run(ctx context.Context, t Trigger, in Input) (skip bool, err error) {
	switch t {
	case TriggerBeforeLogin, TriggerAfterLogin, TriggerAfterLogout, TriggerBeforePasswordReset:
		return false, nil
	case TriggerBeforeSave, TriggerAfterSave, TriggerBeforeDelete, TriggerAfterDelete, TriggerBeforeFind, TriggerAfterFind,
		TriggerBeforeConnect, TriggerBeforeSubscribe, TriggerAfterEvent, TriggerFunction, TriggerJob, triggerLiveQuery, triggerAnalytics:
	}
	master := in.Request.Caller.Master
	if master && v.SkipWithMasterKey && t != TriggerFunction && t != TriggerJob {
		return true, nil
	}
	if v.Check != nil {
		if err := v.Check(ctx, in); err != nil {
			var pe *parse.Error
			if !errors.As(err, &pe) {
				err = &parse.Error{Code: parse.ValidationError, Message: err.Error(), Err: err}
			}
			return false, err
		}
	}
	if master && !v.ValidateMasterKey {
		return false, nil
	}
	user := in.Request.Caller.User
	if user == nil && in.Object != nil && in.Object.ClassName == userClass && in.Original == nil && in.save {
		user = in.Object
	}
	if user == nil && (v.RequireUser || len(v.RequireAnyUserRoles) > 0 || len(v.RequireAllUserRoles) > 0) {
		return false, invalid(loginFirst)
	}
	if v.RequireMaster && !master {
		return false, invalid("Validation failed. Master key is required to complete this request.")
	}
	if err := v.fields(in); err != nil {
		return false, err
	}
	c := &in.Request.Caller
	if roles := v.RequireAnyUserRoles; len(roles) > 0 && !slices.ContainsFunc(roles, c.HasRole) {
		return false, invalid("Validation failed. User does not match the required roles.")
	}
	for _, role := range v.RequireAllUserRoles {
		if !c.HasRole(role) {
			return false, invalid("Validation failed. User does not match all the required roles.")
		}
	}
	return false, v.userKeys(user)
}

func (v *Validator) userKeys(user *parse.Object) error {
	if len(v.RequireUserKeys) > 0 && user == nil {
		return invalid("Please login to make this request.")
	}
	for i := range v.RequireUserKeys {
		f := &v.RequireUserKeys[i]
		value, _ := user.Get(f.Name)
		if value == nil {
			if f.Optional {
				continue
			}
			return invalid("Validation failed. Please set data for %s on your account.", f.Name)
		}
		if err := f.allowed(value); err != nil {
			return err
		}
	}
	return nil
}

// get reads a field of the parameters or of the object.
func (in *Input) get(name string) (parse.Value, bool) {
	if in.Object != nil {
		return in.Object.Get(name)
	}
	return in.Params.Get(name)
}

func (in *Input) set(name string, v parse.Value) {
	switch {
	case in.Object != nil && in.save:
		in.Object.Set(name, v)
	case in.Object == nil && in.Params != nil:
		in.Params.Set(name, v)
	}
}

func (v *Validator) fields(in Input) error {
	for i := range v.Fields {
		f := &v.Fields[i]
		if f.Constant && in.save {
			f.hold(in)
		}
		value, there := in.get(f.Name)
		if value == nil && f.Default != nil {
			in.set(f.Name, f.Default)
			value, there = f.Default, true
		}
		if value == nil && !f.Optional {
			return invalid("Validation failed. Please specify data for %s.", f.Name)
		}
		if there && f.Type != "" && !f.Type.is(value) {
			return invalid("Validation failed. Invalid type for %s. Expected: %s", f.Name, strings.ToLower(string(f.Type)))
		}
	}
	for i := range v.Fields { // values come after all types, as in the protocol
		f := &v.Fields[i]
		if value, there := in.get(f.Name); there {
			if err := f.allowed(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// hold reverts what a save does to a constant field.
func (f *Field) hold(in Input) {
	if in.Original == nil {
		if f.Default != nil {
			in.Object.Set(f.Name, f.Default)
		}
		return
	}
	if was, ok := in.Original.Get(f.Name); ok {
		in.Object.Set(f.Name, was)
		return
	}
	in.Object.Fields.Delete(f.Name)
}

func (f *Field) allowed(v parse.Value) error {
	if len(f.Options) > 0 && !slices.ContainsFunc(f.Options, func(o parse.Value) bool { return parse.Equal(o, v) }) {
		if f.Error != "" {
			return invalid("%s", f.Error)
		}
		names := make([]string, len(f.Options))
		for i, o := range f.Options {
			if s, ok := o.(string); ok {
				names[i] = s
				continue
			}
			names[i] = string(parse.AppendJSON(nil, o))
		}
		return invalid("Validation failed. Invalid option for %s. Expected: %s", f.Name, strings.Join(names, ", "))
	}
	if f.Check == nil {
		return nil
	}
	err := f.Check(v)
	switch {
	case err == nil:
		return nil
	case f.Error != "":
		return invalid("%s", f.Error)
	}
	var pe *parse.Error
	if errors.As(err, &pe) {
		return err
	}
	return invalid("%s", err.Error())
}

// is reports whether a value is of the type.
func (t FieldType) is(v parse.Value) bool {
	switch v.(type) {
	case string:
		return t == String
	case float64, parse.Int, parse.Increment:
		return t == Number
	case bool:
		return t == Boolean
	case parse.Array:
		return t == Array
	case *parse.Map:
		return t == Object
	case parse.Date:
		return t == Date || t == Object
	case parse.Pointer, *parse.Object:
		return t == Pointer || t == Object
	case nil:
		return false
	}
	return t == Object
}
