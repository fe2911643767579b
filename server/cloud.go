package server

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/cloudcode/webhook"
	"github.com/pargo-baas/pargo/internal/hooks"
	"github.com/pargo-baas/pargo/internal/objects"
	"github.com/pargo-baas/pargo/server/rest"
)

// claimMargin is how much longer than a call a webhook that waits is a server's own.
const claimMargin = 5 * time.Second

// newHooks makes the service that keeps webhooks, with those in force that are stored.
func (s *Server) newHooks(ctx context.Context, objs *objects.Service) error {
	o, err := s.cfg.Webhooks()
	if err != nil {
		return err
	}
	client, err := webhook.NewClient(webhook.Options{
		Key: s.cfg.WebhookKey, Secret: o.SigningSecret, Timeout: o.Timeout, BlockPrivate: o.BlockPrivateNetworks, Now: s.now, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("option webhookOptions: %w", err)
	}
	s.hooks = hooks.New(objs, hooks.Options{Client: client, Claim: client.Timeout() + claimMargin, Now: s.now, Log: s.log})
	return s.hooks.Load(ctx)
}

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
		cloudcode.TriggerAfterEvent,
		cloudcode.TriggerJob:
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
