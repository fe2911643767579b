package cloudcode

import (
	"errors"
	"fmt"
	"regexp"
)

// Trigger is a kind of hook, by the name that the protocol has for it.
type Trigger string

// The triggers. A function and a job count as such for the sake of limits and
// measurements.
const (
	TriggerBeforeSave          Trigger = "beforeSave"
	TriggerAfterSave           Trigger = "afterSave"
	TriggerBeforeDelete        Trigger = "beforeDelete"
	TriggerAfterDelete         Trigger = "afterDelete"
	TriggerBeforeFind          Trigger = "beforeFind"
	TriggerAfterFind           Trigger = "afterFind"
	TriggerBeforeLogin         Trigger = "beforeLogin"
	TriggerAfterLogin          Trigger = "afterLogin"
	TriggerAfterLogout         Trigger = "afterLogout"
	TriggerBeforePasswordReset Trigger = "beforePasswordResetRequest"
	TriggerBeforeConnect       Trigger = "beforeConnect"
	TriggerBeforeSubscribe     Trigger = "beforeSubscribe"
	TriggerAfterEvent          Trigger = "afterEvent"
	TriggerFunction            Trigger = "function"
	TriggerJob                 Trigger = "job"

	// What these two are told is no request that they could refuse.
	triggerLiveQuery Trigger = "onLiveQueryEvent"
	triggerAnalytics Trigger = "onAnalytics"
)

// Names of the classes that hooks stand under that belong to no class of objects.
const (
	// ConfigClass is where the hooks of Parse.Config are.
	ConfigClass = "@Config"
	// ConnectClass is where the hooks of live-query connections are.
	ConnectClass = "@Connect"

	fileClass    = "@File"
	userClass    = "_User"
	sessionClass = "_Session"
)

var className = regexp.MustCompile(`^_?[A-Za-z][A-Za-z0-9_]{0,119}$`)

// CheckTrigger tells why a class cannot have the trigger, with the text of the
// rule that is broken; nil if it can.
func CheckTrigger(t Trigger, class string) error {
	switch t {
	case TriggerBeforeLogin, TriggerAfterLogin, TriggerBeforePasswordReset:
		if class != userClass {
			return errors.New("Only the _User class is allowed for the beforeLogin, afterLogin, and beforePasswordResetRequest triggers")
		}
		return nil
	case TriggerAfterLogout:
		if class != sessionClass {
			return errors.New("Only the _Session class is allowed for the afterLogout trigger.")
		}
		return nil
	case TriggerBeforeConnect:
		if class != ConnectClass {
			return errors.New("only @Connect has the trigger beforeConnect")
		}
		return nil
	case TriggerBeforeSave, TriggerAfterSave:
		if class == ConfigClass {
			return nil
		}
	case TriggerBeforeDelete, TriggerAfterDelete, TriggerBeforeFind, TriggerAfterFind, TriggerBeforeSubscribe,
		TriggerAfterEvent:
	case TriggerFunction, TriggerJob, triggerLiveQuery, triggerAnalytics:
		return fmt.Errorf("%s is no trigger of a class", t)
	default:
		return fmt.Errorf("there is no trigger %q", string(t))
	}
	switch {
	case class == fileClass:
		return errors.New("there are no files, so Parse.File has no triggers")
	case class == sessionClass:
		return errors.New("Only the afterLogout trigger is allowed for the _Session class.")
	case class == "_PushStatus" && t != TriggerAfterSave:
		return errors.New("Only afterSave is allowed on _PushStatus")
	case !className.MatchString(class):
		return fmt.Errorf("%q is no name of a class", class)
	}
	return nil
}

// register notes what is wrong with a registration; it reports whether nothing is.
func (a *App) register(t Trigger, name string, missing bool, problems ...error) bool {
	if missing {
		problems = append(problems, errors.New("the function is nil"))
	}
	err := errors.Join(problems...)
	if err == nil {
		return true
	}
	where := fmt.Sprintf("%s of class %q", t, name)
	if t == TriggerFunction || t == TriggerJob {
		where = fmt.Sprintf("%s %q", t, name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errs = append(a.errs, fmt.Errorf("%s: %w", where, err))
	return false
}

// Err returns what is wrong with the registrations so far, each with class and
// rule; nil if nothing is. The server asks before it starts.
func (a *App) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.errs...)
}
