package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/pargo-baas/pargo/internal/doctor"
	"github.com/pargo-baas/pargo/internal/storage"
	"github.com/pargo-baas/pargo/parse"
	"github.com/pargo-baas/pargo/schema"
	"github.com/pargo-baas/pargo/server/config"
)

// securityGroups are the checks of GET /security: those of Parse Server, by
// their titles, and what else an operator should know. The options are valid.
func securityGroups(cfg config.Config, store storage.Store, reg *schema.Registry) ([]doctor.Group, error) {
	o, err := cfg.Security()
	if err != nil {
		return nil, err
	}
	configured, err := configuredChecks(cfg, o)
	if err != nil {
		return nil, err
	}
	groups := []doctor.Group{
		{Name: config.GroupDatabase, Run: func(context.Context) []doctor.Check { return []doctor.Check{databasePassword(cfg)} }},
		{Name: config.GroupServer, Run: func(context.Context) []doctor.Check { return configured }},
		{Name: config.GroupOperation, Run: func(ctx context.Context) []doctor.Check {
			list := slices.Concat(operationChecks(cfg), classChecks(reg.Current()))
			return append(list, uniqueChecks(ctx, store, reg.Current())...)
		}},
	}
	return slices.DeleteFunc(groups, func(g doctor.Group) bool { return !o.Checks(g.Name) }), nil
}

// openSecurity makes the one who answers GET /security, nil if the option
// security does not want it, and logs what he finds if it wants that.
func openSecurity(ctx context.Context, cfg config.Config, checks []doctor.Group, log *slog.Logger) (*doctor.Doctor, error) {
	o, err := cfg.Security()
	if err != nil || !o.EnableCheck {
		return nil, err
	}
	d := doctor.New(nil, checks...)
	if !o.EnableCheckLog {
		return d, nil
	}
	report := d.Examine(ctx)
	for _, g := range report.Groups {
		for i := range g.Checks {
			if c := &g.Checks[i]; c.State == doctor.Fail {
				log.WarnContext(ctx, "security check failed", "group", g.Name, "check", c.Title, "warning", c.Warning, "solution", c.Solution)
			}
		}
	}
	log.InfoContext(ctx, "security checked", "state", string(report.State))
	return d, nil
}

// failing is a check that fails if bad.
func failing(title string, bad bool, warning, solution string) doctor.Check {
	if !bad {
		return doctor.Check{Title: title, State: doctor.Success}
	}
	return doctor.Check{Title: title, State: doctor.Fail, Warning: warning, Solution: solution}
}

// strongSecret: at least 14 characters of three kinds.
func strongSecret(s string) bool {
	var kinds [4]bool
	n := 0
	for _, r := range s {
		n++
		switch {
		case unicode.IsUpper(r):
			kinds[0] = true
		case unicode.IsLower(r):
			kinds[1] = true
		case unicode.IsDigit(r):
			kinds[2] = true
		default:
			kinds[3] = true
		}
	}
	count := 0
	for _, has := range kinds {
		if has {
			count++
		}
	}
	return n >= 14 && count >= 3
}

// databasePassword: the embedded database is a file, which has none.
func databasePassword(cfg config.Config) doctor.Check {
	db, err := cfg.Database()
	bad := false
	if err == nil && db.Kind != config.SQLite {
		bad = !strongSecret(passwordIn(db.Location))
	}
	return failing("Secure database password", bad,
		"The database can be opened without a password, or with one that can be guessed.",
		"Give the user of databaseURI a password of 14 characters or more, with letters, digits and signs.")
}

// passwordIn is the password in a URI of a database. Those of MongoDB may name
// many hosts, which no parser of URLs takes.
func passwordIn(uri string) string {
	_, authority, _ := strings.Cut(uri, "://")
	if i := strings.IndexAny(authority, "/?"); i >= 0 {
		authority = authority[:i]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return ""
	}
	_, password, _ := strings.Cut(authority[:at], ":")
	if plain, err := url.PathUnescape(password); err == nil {
		return plain
	}
	return password
}

// configuredChecks are those of Parse Server on its options. What pargo does
// not serve cannot be open.
func configuredChecks(cfg config.Config, o config.Security) ([]doctor.Check, error) {
	use, err := cfg.DatabaseUse()
	if err != nil {
		return nil, err
	}
	limits, err := cfg.Complexity()
	if err != nil {
		return nil, err
	}
	policy, err := cfg.PasswordPolicy()
	if err != nil {
		return nil, err
	}
	unlimited := slices.Contains([]int{limits.IncludeDepth, limits.IncludeCount, limits.QueryDepth, limits.SubqueryDepth, limits.BatchRequestLimit}, -1)
	slowRegex := cfg.StartLiveQueryServer && cfg.LiveQuery.RegexTimeout != nil && *cfg.LiveQuery.RegexTimeout == 0
	return []doctor.Check{
		failing("Secure master key", !strongSecret(cfg.MasterKey),
			"The master key is short or of few kinds of characters, so that it can be guessed.",
			"Take 14 characters or more, with upper and lower case, digits and signs."),
		failing("Security log disabled", o.EnableCheckLog,
			"The log tells what is not secure to whoever reads it.",
			"Set security.enableCheckLog to false when you have read it."),
		failing("Client class creation disabled", cfg.AllowClientClassCreation,
			"Clients may make any number of classes.",
			"Set allowClientClassCreation to false."),
		failing("Users are created without public access", !cfg.EnforcePrivateUsers,
			"Everybody may read new users.",
			"Set enforcePrivateUsers to true."),
		failing("Insecure auth adapters disabled", cfg.EnableInsecureAuthAdapters,
			"Providers that only repeat what a client says can be configured.",
			"Set enableInsecureAuthAdapters to false."),
		failing("GraphQL public introspection disabled", false, "", ""),
		failing("GraphQL Playground disabled", false, "", ""),
		failing("Public database explain disabled", use.AllowPublicExplain,
			"Clients may ask how the database runs a query.",
			"Set databaseOptions.allowPublicExplain to false."),
		failing("Read-only master key IP range restricted", cfg.ReadOnlyMasterKey != "" && fromAnywhere(cfg.ReadOnlyMasterKeyIPs),
			"The read-only master key, which reads everything, is taken from any address.",
			"List the addresses that need it in readOnlyMasterKeyIps."),
		failing("Request complexity limits enabled", unlimited,
			"One request may ask for more than it should.",
			"Set includeDepth, includeCount, queryDepth, subqueryDepth and batchRequestLimit of requestComplexity."),
		failing("Password reset endpoint user enumeration mitigated", !policy.HideUnknown,
			"Whoever asks for a reset learns which addresses have an account.",
			"Set passwordPolicy.resetPasswordSuccessOnInvalidEmail to true."),
		failing("Email verification endpoint user enumeration mitigated", !cfg.EmailVerifySuccessOnInvalidEmail,
			"Whoever asks for a mail learns which addresses have an account.",
			"Set emailVerifySuccessOnInvalidEmail to true."),
		failing("LiveQuery regex timeout enabled", slowRegex,
			"A pattern of a subscription may hold up all events.",
			"Set liveQuery.regexTimeout to a number of milliseconds."),
	}, nil
}

// fromAnywhere reports whether a list of addresses has all of a family.
func fromAnywhere(list []string) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		r, err := config.ParseIPRange(s)
		return err == nil && r.Bits() == 0
	})
}

// exampleKeys are keys of guides and examples.
var exampleKeys = []string{"master", "masterkey", "mymasterkey", "your_master_key", "yourmasterkey", "master_key", "changeme", "secret", "test", "password", "maintenance", "readonly"}

// operationChecks are about how the server is run.
func operationChecks(cfg config.Config) []doctor.Check {
	example := slices.ContainsFunc([]string{cfg.MasterKey, cfg.ReadOnlyMasterKey, cfg.MaintenanceKey}, func(key string) bool {
		return slices.Contains(exampleKeys, strings.ToLower(key)) || key != "" && slices.Contains([]string{cfg.AppID, cfg.ClientKey, cfg.JavaScriptKey, cfg.DotNetKey, cfg.RESTAPIKey}, key)
	})
	proxies, err := cfg.Proxies()
	behindProxy := strings.HasPrefix(cfg.PublicServerURL, "https:") // pargo speaks no TLS itself
	policy, perr := cfg.PasswordPolicy()
	throttle, terr := cfg.LoginThrottle()
	return []doctor.Check{
		failing("Keys are not those of examples", example,
			"A key is one that stands in guides, or that clients have as well.",
			"Choose the keys at random, each for itself."),
		failing("Master key IP range restricted", fromAnywhere(cfg.MasterKeyIPs) || cfg.MaintenanceKey != "" && fromAnywhere(cfg.MaintenanceKeyIPs),
			"The master key or the maintenance key is taken from any address.",
			"List the addresses that need it in masterKeyIps and maintenanceKeyIps."),
		failing("Clients connect by TLS", !behindProxy && !onThisMachine(cfg),
			"Passwords and session tokens are readable on their way.",
			"Put a proxy with TLS before the server, and its https URL into publicServerURL."),
		failing("Addresses of clients are known", err != nil || proxies.All || behindProxy && cfg.TrustProxy == nil,
			"Lists of addresses and limits of requests see the proxy, or whatever a client claims.",
			"Set trustProxy to the addresses of your proxies, or to their number."),
		failing("Passwords have a policy", perr != nil || policy.ValidatorPattern == "",
			"Users may choose any password, of one letter even.",
			"Set passwordPolicy.validatorPattern, for example to ^.{8,}$."),
		failing("Guesses at passwords are limited", terr != nil || throttle.Off,
			"Whoever wants may try passwords without end.",
			"Leave loginThrottle on."),
		failing("Development mode disabled", cfg.Development,
			"Mails with links into accounts are shown to whoever asks.",
			"Leave out development."),
	}
}

// onThisMachine reports whether only this machine reaches the server.
func onThisMachine(cfg config.Config) bool {
	if u, err := url.Parse(cfg.PublicServerURL); err == nil && u.Host != "" && !isLoopback(u.Hostname()) {
		return false
	}
	return isLoopback(cfg.Host)
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// classChecks look for classes that are open to everybody.
func classChecks(snap *schema.Snapshot) []doctor.Check {
	const owned, roles = "Objects with owners are not public", "Roles are not created by clients"
	var out []doctor.Check
	for _, c := range snap.Classes() {
		field := ownerOf(c)
		if field == "" || strings.HasPrefix(c.Name, "_") || !openClass(c) {
			continue
		}
		out = append(out, failing(owned, true,
			fmt.Sprintf("Objects of class %s belong to a user (%s), and without an ACL of their own everybody may read or change them.", c.Name, field),
			fmt.Sprintf("Declare ownerField of the class, a default ACL with currentUser, or pointerFields [%q] in its permissions.", field)))
	}
	if out == nil {
		out = append(out, failing(owned, false, "", ""))
	}
	if c := snap.Class("_Role"); c != nil {
		out = append(out, failing(roles, public(c, schema.Create),
			"Everybody may create roles, and so take a name before you do.",
			"Give _Role permissions in which nobody creates."))
	}
	return out
}

// ownerOf is the first pointer to a user in a class; "" if there is none.
func ownerOf(c *schema.Class) string {
	names := []string{}
	for name, f := range c.Fields {
		if f.Type == schema.Pointer && f.TargetClass == schema.UserClass {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// openClass reports whether an object that was made without an ACL is for
// everybody to read, update or delete.
func openClass(c *schema.Class) bool {
	if c.OwnerField != "" || c.CLP != nil && c.CLP.DefaultACL != nil && !c.CLP.DefaultACL.Allows([]string{parse.Public}, false) {
		return false
	}
	return slices.ContainsFunc([]schema.Operation{schema.Get, schema.Find, schema.Update, schema.DeleteOp}, func(op schema.Operation) bool { return public(c, op) })
}

func public(c *schema.Class, op schema.Operation) bool {
	if c.CLP == nil {
		return true
	}
	p := c.CLP.Ops[op]
	return p != nil && p.Public
}

// uniqueChecks look for the indexes that keep names and tokens unique.
func uniqueChecks(ctx context.Context, store storage.Store, snap *schema.Snapshot) []doctor.Check {
	const title = "Names and tokens are unique by index"
	x := storage.AsIndexer(store)
	if x == nil {
		return []doctor.Check{{Title: title, State: doctor.Unknown}}
	}
	var missing []string
	for _, want := range [...]struct{ class, field string }{{schema.UserClass, "username"}, {schema.UserClass, "email"}, {"_Role", "name"}} {
		c := snap.Class(want.class)
		if c == nil {
			continue
		}
		have, err := x.Indexes(ctx, c)
		if err != nil {
			return []doctor.Check{{Title: title, State: doctor.Unknown, Warning: "The database does not tell its indexes."}}
		}
		if !slices.ContainsFunc(have, func(ix schema.Index) bool { return ix.Unique && len(ix.Keys) == 1 && ix.Keys[0].Field == want.field }) {
			missing = append(missing, want.class+"."+want.field)
		}
	}
	return []doctor.Check{failing(title, len(missing) > 0,
		"No unique index keeps apart "+strings.Join(missing, ", ")+".",
		"Remove what is there twice, and start the server again: it makes the index.")}
}
