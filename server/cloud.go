package server

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/server/rest"
)

// hookRates are the rate limits of the validators of cloud code, as limits on
// the routes that lead to their hooks.
func hookRates(app *cloudcode.App) []rest.RateLimit {
	var out []rest.RateLimit
	for _, r := range app.Rates() {
		l := rest.RateLimit{
			Path: regexp.MustCompile(`(?i)^(?:` + hookPath(r.Trigger, r.Name) + `)/?$`), Window: r.Window, Count: r.Count,
			Message: r.Message, IncludeMaster: r.IncludeMaster, IncludeInternal: r.IncludeInternal, Zone: r.Zone,
		}
		if l.Message == "" {
			l.Message = "Too many requests."
		}
		if l.Zone == "" {
			l.Zone = "ip"
		}
		methods := r.Methods
		if methods == nil {
			methods = hookMethods[r.Trigger]
		}
		if methods != nil {
			quoted := make([]string, len(methods))
			for i, m := range methods {
				quoted[i] = regexp.QuoteMeta(m)
			}
			l.Methods = regexp.MustCompile("^(?:" + strings.Join(quoted, "|") + ")$")
		}
		out = append(out, l)
	}
	return out
}

// hookMethods are the verbs that lead to a trigger; all for those that are not listed.
var hookMethods = map[cloudcode.Trigger][]string{
	cloudcode.TriggerBeforeSave: {http.MethodPost, http.MethodPut}, cloudcode.TriggerAfterSave: {http.MethodPost, http.MethodPut},
	cloudcode.TriggerBeforeDelete: {http.MethodDelete}, cloudcode.TriggerAfterDelete: {http.MethodDelete},
	cloudcode.TriggerBeforeFind: {http.MethodGet}, cloudcode.TriggerAfterFind: {http.MethodGet},
	cloudcode.TriggerBeforeLogin: {http.MethodGet, http.MethodPost}, cloudcode.TriggerAfterLogin: {http.MethodGet, http.MethodPost},
	cloudcode.TriggerAfterLogout: {http.MethodPost}, cloudcode.TriggerBeforePasswordReset: {http.MethodPost},
	cloudcode.TriggerFunction: {http.MethodPost},
}

// hookPath is the pattern of the paths that lead to a trigger.
func hookPath(t cloudcode.Trigger, name string) string {
	switch t {
	case cloudcode.TriggerFunction:
		return "/functions/" + regexp.QuoteMeta(name)
	case cloudcode.TriggerBeforeLogin, cloudcode.TriggerAfterLogin:
		return "/login"
	case cloudcode.TriggerAfterLogout:
		return "/logout"
	case cloudcode.TriggerBeforePasswordReset:
		return "/requestPasswordReset"
	case cloudcode.TriggerBeforeSave, cloudcode.TriggerAfterSave, cloudcode.TriggerBeforeDelete, cloudcode.TriggerAfterDelete,
		cloudcode.TriggerBeforeFind, cloudcode.TriggerAfterFind, cloudcode.TriggerBeforeConnect, cloudcode.TriggerBeforeSubscribe,
		cloudcode.TriggerAfterEvent, cloudcode.TriggerJob:
	}
	if name == cloudcode.ConfigClass {
		return "/config"
	}
	paths := []string{"/classes/" + regexp.QuoteMeta(name)}
	if own, ok := ownRoutes[name]; ok {
		paths = append(paths, own)
	}
	return "(?:" + strings.Join(paths, "|") + ")(?:/[^/]*)?"
}

// ownRoutes are the paths of classes that have some besides /classes.
var ownRoutes = map[string]string{
	"_User": "/users", "_Role": "/roles", "_Installation": "/installations", "_Session": "/sessions",
}
