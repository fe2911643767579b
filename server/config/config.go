// Package config holds the options of a pargo server: one struct whose tags
// give each option's name, environment variable and help text. Names are those
// of Parse Server, so that an existing configuration works unchanged.
package config

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Config is all options. The zero value is not usable: start from Default or Load.
//
// Field tags: opt is the option's name in files and as a flag, env its
// environment variable, help its description.
type Config struct {
	AppID             string `opt:"appId" env:"PARSE_SERVER_APPLICATION_ID" help:"Application id; generated and kept in dataDir when not given."`
	AppName           string `opt:"appName" env:"PARSE_SERVER_APP_NAME" help:"Name of the application for people."`
	MasterKey         string `opt:"masterKey" env:"PARSE_SERVER_MASTER_KEY" secret:"" help:"Key that bypasses all permissions; generated and kept in dataDir when not given."`
	ReadOnlyMasterKey string `opt:"readOnlyMasterKey" env:"PARSE_SERVER_READ_ONLY_MASTER_KEY" secret:"" help:"Master key that may only read."`
	MaintenanceKey    string `opt:"maintenanceKey" env:"PARSE_SERVER_MAINTENANCE_KEY" secret:"" help:"Key for maintenance; reads and writes internal fields."`
	ClientKey         string `opt:"clientKey" env:"PARSE_SERVER_CLIENT_KEY" secret:"" help:"If any client key is set, clients must present one of them."`
	JavaScriptKey     string `opt:"javascriptKey" env:"PARSE_SERVER_JAVASCRIPT_KEY" secret:"" help:"Client key of JavaScript SDKs."`
	DotNetKey         string `opt:"dotNetKey" env:"PARSE_SERVER_DOT_NET_KEY" secret:"" help:"Client key of .NET SDKs."`
	RESTAPIKey        string `opt:"restAPIKey" env:"PARSE_SERVER_REST_API_KEY" secret:"" help:"Client key of REST clients."`

	MasterKeyIPs         []string `opt:"masterKeyIps" env:"PARSE_SERVER_MASTER_KEY_IPS" help:"Addresses or CIDR ranges that may use the master key."`
	ReadOnlyMasterKeyIPs []string `opt:"readOnlyMasterKeyIps" env:"PARSE_SERVER_READ_ONLY_MASTER_KEY_IPS" help:"Addresses or CIDR ranges that may use the read-only master key."`
	MaintenanceKeyIPs    []string `opt:"maintenanceKeyIps" env:"PARSE_SERVER_MAINTENANCE_KEY_IPS" help:"Addresses or CIDR ranges that may use the maintenance key."`

	ServerURL        string          `opt:"serverURL" env:"PARSE_SERVER_URL" help:"URL of this server with the mount path; default http://localhost:PORT/MOUNT."`
	PublicServerURL  string          `opt:"publicServerURL" env:"PARSE_PUBLIC_SERVER_URL" help:"URL of this server as clients see it."`
	Host             string          `opt:"host" env:"PARSE_SERVER_HOST" help:"Address to listen on."`
	Port             int             `opt:"port" env:"PORT" help:"Port to listen on; 0 takes a free one."`
	MountPath        string          `opt:"mountPath" env:"PARSE_SERVER_MOUNT_PATH" help:"Path of the API."`
	TrustProxy       any             `opt:"trustProxy" env:"PARSE_SERVER_TRUST_PROXY" help:"true, a number of hops, or a list of proxy addresses whose X-Forwarded-For is believed."`
	ConnectionLimits json.RawMessage `opt:"connectionLimits" env:"PARSE_SERVER_CONNECTION_LIMITS" help:"{\"headerTimeout\":ms,\"bodyTimeout\":ms,\"bytesPerSecond\":n,\"idleTimeout\":ms,\"headers\":n,\"headerBytes\":n,\"connections\":n,\"bodyMemory\":\"128mb\",\"answerMemory\":\"128mb\"}: what a connection may cost."`
	MaxUploadSize    string          `opt:"maxUploadSize" env:"PARSE_SERVER_MAX_UPLOAD_SIZE" help:"Largest request body, for example 20mb."`

	DatabaseURI      string          `opt:"databaseURI" env:"PARSE_SERVER_DATABASE_URI" secret:"uri" help:"sqlite:FILE, sqlite::memory:, mongodb://…, postgres://… ; default a SQLite file in dataDir."`
	CollectionPrefix string          `opt:"collectionPrefix" env:"PARSE_SERVER_COLLECTION_PREFIX" help:"Prefix of collection names (MongoDB)."`
	DatabaseOptions  json.RawMessage `opt:"databaseOptions" env:"PARSE_SERVER_DATABASE_OPTIONS" help:"{\"maxTimeMS\":ms,\"allowPublicExplain\":false,…}: how the database is used."`
	Durability       string          `opt:"durability" env:"PARSE_SERVER_DURABILITY" help:"SQLite: full (an acknowledged write survives a power cut) or normal (it survives a crash of the process)."`
	DataDir          string          `opt:"dataDir" env:"PARSE_SERVER_DATA_DIR" help:"Folder of the embedded database and of generated secrets."`

	Schema json.RawMessage `opt:"schema" env:"PARSE_SERVER_SCHEMA" help:"Path of a schema.json, or the definitions themselves."`
	Cloud  string          `opt:"cloud" env:"PARSE_SERVER_CLOUD" help:"Name of a built-in cloud-code bundle: payment-gateway. A schema.json may name it, too."`

	AllowClientClassCreation     bool            `opt:"allowClientClassCreation" env:"PARSE_SERVER_ALLOW_CLIENT_CLASS_CREATION" help:"Clients may create classes by writing to them."`
	AllowCustomObjectID          bool            `opt:"allowCustomObjectId" env:"PARSE_SERVER_ALLOW_CUSTOM_OBJECT_ID" help:"Clients may choose objectId on create."`
	ObjectIDSize                 int             `opt:"objectIdSize" env:"PARSE_SERVER_OBJECT_ID_SIZE" help:"Length of generated object ids."`
	DefaultLimit                 int             `opt:"defaultLimit" env:"PARSE_SERVER_DEFAULT_LIMIT" help:"Rows of a find without limit."`
	MaxLimit                     int             `opt:"maxLimit" env:"PARSE_SERVER_MAX_LIMIT" help:"Largest limit of a find; 0: none."`
	EnableAnonymousUsers         bool            `opt:"enableAnonymousUsers" env:"PARSE_SERVER_ENABLE_ANON_USERS" help:"Anonymous users may sign up."`
	Auth                         json.RawMessage `opt:"auth" env:"PARSE_SERVER_AUTH_PROVIDERS" secret:"" help:"{\"google\":{\"clientId\":…},…}: providers with which users sign in."`
	EnableInsecureAuthAdapters   bool            `opt:"enableInsecureAuthAdapters" env:"PARSE_SERVER_ENABLE_INSECURE_AUTH_ADAPTERS" help:"Providers that only repeat what a client says may be configured."`
	AllowExpiredAuthDataToken    bool            `opt:"allowExpiredAuthDataToken" env:"PARSE_SERVER_ALLOW_EXPIRED_AUTH_DATA_TOKEN" help:"An update does not prove again the authData that it leaves as they are."`
	EnforcePrivateUsers          bool            `opt:"enforcePrivateUsers" env:"PARSE_SERVER_ENFORCE_PRIVATE_USERS" help:"New users are readable by themselves only."`
	EnableSanitizedErrorResponse bool            `opt:"enableSanitizedErrorResponse" env:"PARSE_SERVER_ENABLE_SANITIZED_ERROR_RESPONSE" help:"Refusals by permissions say only Permission denied."`
	ExpireInactiveSessions       bool            `opt:"expireInactiveSessions" env:"PARSE_SERVER_EXPIRE_INACTIVE_SESSIONS" help:"Sessions end after sessionLength."`
	SessionLength                int             `opt:"sessionLength" env:"PARSE_SERVER_SESSION_LENGTH" help:"Life of a session in seconds."`
	ExtendSessionOnUse           bool            `opt:"extendSessionOnUse" env:"PARSE_SERVER_EXTEND_SESSION_ON_USE" help:"Sessions in use get a new sessionLength once half of it is over."`
	RevokeSessionOnPasswordReset bool            `opt:"revokeSessionOnPasswordReset" env:"PARSE_SERVER_REVOKE_SESSION_ON_PASSWORD_RESET" help:"A new password ends all sessions of the user."`
	ProtectedFields              json.RawMessage `opt:"protectedFields" env:"PARSE_SERVER_PROTECTED_FIELDS" help:"Fields hidden from clients, by class and group."`
	ProtectedFieldsOwnerExempt   bool            `opt:"protectedFieldsOwnerExempt" env:"PARSE_SERVER_PROTECTED_FIELDS_OWNER_EXEMPT" help:"Users see all fields of their own _User object."`
	AllowOrigin                  []string        `opt:"allowOrigin" env:"PARSE_SERVER_ALLOW_ORIGIN" help:"Origins that browsers may call from; default *."`
	AllowHeaders                 []string        `opt:"allowHeaders" env:"PARSE_SERVER_ALLOW_HEADERS" help:"More request headers that browsers may send."`
	RouteAllowList               []string        `opt:"routeAllowList" env:"PARSE_SERVER_ROUTE_ALLOW_LIST" help:"Regular expressions of the only routes open to clients."`
	RequestKeywordDenylist       json.RawMessage `opt:"requestKeywordDenylist" env:"PARSE_SERVER_REQUEST_KEYWORD_DENYLIST" help:"Keys and values, as regular expressions, that no written data may have."`
	Installation                 json.RawMessage `opt:"installation" env:"PARSE_SERVER_INSTALLATION" help:"{\"duplicateDeviceTokenAction\":\"delete\",\"duplicateDeviceTokenMergePriority\":\"deviceToken\",…}: what happens when two installations have one device token."`
	CacheAdapter                 json.RawMessage `opt:"cacheAdapter" env:"PARSE_SERVER_CACHE_ADAPTER" secret:"uri" help:"Redis that several servers of the application share: {\"module\":\"redis\",\"options\":{\"url\":\"redis://…\"}}, or the URL alone."`
	CacheTTL                     int             `opt:"cacheTTL" env:"PARSE_SERVER_CACHE_TTL" help:"Milliseconds for which sessions and roles are believed without a look into the database; of no matter on SQLite."`
	CacheMaxSize                 int             `opt:"cacheMaxSize" env:"PARSE_SERVER_CACHE_MAX_SIZE" help:"Sessions kept in memory."`
	RateLimit                    json.RawMessage `opt:"rateLimit" env:"PARSE_SERVER_RATE_LIMIT" help:"Limits, one or a list: {\"requestPath\":\"/functions/*any\",\"requestTimeWindow\":ms,\"requestCount\":n}."`
	IdempotencyOptions           json.RawMessage `opt:"idempotencyOptions" env:"PARSE_SERVER_EXPERIMENTAL_IDEMPOTENCY_OPTIONS" help:"{\"paths\":[…],\"ttl\":s,\"replay\":false}: requests of an id are served once."`
	RequestComplexity            json.RawMessage `opt:"requestComplexity" env:"PARSE_SERVER_REQUEST_COMPLEXITY" help:"{\"queryDepth\":10,…}: limits on the queries and batches of clients."`
	AllowReadOnlyAggregate       bool            `opt:"allowAggregationForReadOnlyMasterKey" env:"PARSE_SERVER_ALLOW_AGGREGATION_FOR_READ_ONLY_MASTER_KEY" help:"The read-only master key may aggregate."`
	Query                        json.RawMessage `opt:"query" env:"PARSE_SERVER_QUERY" help:"{\"aggregationRawValues\":false,\"aggregationRawFieldNames\":false}: aggregates that do not say otherwise leave values, or names, as they are stored."`
	PasswordCost                 int             `opt:"passwordCost" env:"PARSE_SERVER_PASSWORD_COST" help:"bcrypt cost of new password hashes, 4 to 31."`
	PasswordAlgorithm            string          `opt:"passwordAlgorithm" env:"PARSE_SERVER_PASSWORD_ALGORITHM" help:"Of new password hashes: bcrypt, which Parse Server reads, or argon2id, argon2id,m=KiB,t=passes,p=threads."`

	ProtectedFieldsSaveResponseExempt bool     `opt:"protectedFieldsSaveResponseExempt" env:"PARSE_SERVER_PROTECTED_FIELDS_SAVE_RESPONSE_EXEMPT" help:"The answer of a write may tell what hooks changed in protected fields."`
	UserSensitiveFields               []string `opt:"userSensitiveFields" env:"PARSE_SERVER_USER_SENSITIVE_FIELDS" help:"Deprecated: fields of _User hidden from everybody; added to protectedFields."`

	EmailAdapter                     json.RawMessage `opt:"emailAdapter" env:"PARSE_SERVER_EMAIL_ADAPTER" secret:"" help:"{\"module\":\"smtp\",\"options\":{\"host\":…,\"fromAddress\":…}}: how mails are sent."`
	ConvertEmailToLowercase          bool            `opt:"convertEmailToLowercase" env:"PARSE_SERVER_CONVERT_EMAIL_TO_LOWERCASE" help:"Store addresses of users in lower case."`
	ConvertUsernameToLowercase       bool            `opt:"convertUsernameToLowercase" env:"PARSE_SERVER_CONVERT_USERNAME_TO_LOWERCASE" help:"Store usernames in lower case."`
	VerifyUserEmails                 bool            `opt:"verifyUserEmails" env:"PARSE_SERVER_VERIFY_USER_EMAILS" help:"Users get a mail to verify their address."`
	PreventLoginWithUnverifiedEmail  bool            `opt:"preventLoginWithUnverifiedEmail" env:"PARSE_SERVER_PREVENT_LOGIN_WITH_UNVERIFIED_EMAIL" help:"Nobody logs in before his address is verified."`
	PreventSignupWithUnverifiedEmail bool            `opt:"preventSignupWithUnverifiedEmail" env:"PARSE_SERVER_PREVENT_SIGNUP_WITH_UNVERIFIED_EMAIL" help:"A sign-up that cannot log in yet answers an error."`
	SendUserEmailVerification        bool            `opt:"sendUserEmailVerification" env:"PARSE_SERVER_SEND_USER_EMAIL_VERIFICATION" help:"Send the mail for verification."`
	EmailVerifyTokenValidityDuration json.RawMessage `opt:"emailVerifyTokenValidityDuration" env:"PARSE_SERVER_EMAIL_VERIFY_TOKEN_VALIDITY_DURATION" help:"Seconds that a link for verification is valid; default for ever."`
	EmailVerifyTokenReuseIfValid     bool            `opt:"emailVerifyTokenReuseIfValid" env:"PARSE_SERVER_EMAIL_VERIFY_TOKEN_REUSE_IF_VALID" help:"Send a link that is still valid again instead of a new one."`
	EmailVerifySuccessOnInvalidEmail bool            `opt:"emailVerifySuccessOnInvalidEmail" env:"PARSE_SERVER_EMAIL_VERIFY_SUCCESS_ON_INVALID_EMAIL" help:"Do not tell whose address is known or verified."`
	PasswordPolicyOptions            json.RawMessage `opt:"passwordPolicy" env:"PARSE_SERVER_PASSWORD_POLICY" help:"{\"validatorPattern\":…,\"maxPasswordAge\":days,\"maxPasswordHistory\":n,\"resetTokenValidityDuration\":s,…}."`
	AccountLockoutOptions            json.RawMessage `opt:"accountLockout" env:"PARSE_SERVER_ACCOUNT_LOCKOUT" help:"{\"threshold\":n,\"duration\":minutes}: lock accounts after failed logins."`
	LoginThrottleOptions             json.RawMessage `opt:"loginThrottle" env:"PARSE_SERVER_LOGIN_THROTTLE" secret:"uri" help:"false, or {\"window\":s,\"failures\":n,\"networkFailures\":n,\"accountFailures\":n,\"mails\":n,…}: how many failed logins and mails of strangers are served; on by default."`
	PagesOptions                     json.RawMessage `opt:"pages" env:"PARSE_SERVER_PAGES" help:"{\"pagesPath\":…,\"enableLocalization\":true,…}: the pages for verification and new passwords."`
	CustomPages                      json.RawMessage `opt:"customPages" env:"PARSE_SERVER_CUSTOM_PAGES" help:"{\"parseFrameURL\":…}: a page that shows the pages in a frame."`
	Development                      bool            `opt:"development" env:"PARSE_SERVER_DEVELOPMENT" help:"For development on this machine: mails are kept and shown at /dev/mail."`

	SecurityOptions json.RawMessage `opt:"security" env:"PARSE_SERVER_SECURITY" help:"{\"enableCheck\":false,\"enableCheckLog\":false,\"checkGroups\":[…]}: GET /security says what is not secure."`

	WebhookKey     string          `opt:"webhookKey" env:"PARSE_SERVER_WEBHOOK_KEY" secret:"" help:"Sent to webhooks as X-Parse-Webhook-Key."`
	WebhookOptions json.RawMessage `opt:"webhookOptions" env:"PARSE_SERVER_WEBHOOK_OPTIONS" secret:"signingSecret" help:"{\"timeout\":ms,\"signingSecret\":\"whsec_…\",\"blockPrivateNetworks\":false}: how webhooks are called."`

	EnableProductPurchaseLegacyAPI bool `opt:"enableProductPurchaseLegacyApi" env:"PARSE_SERVER_ENABLE_PRODUCT_PURCHASE_LEGACY_API" help:"Serve POST /validate_purchase."`

	StartLiveQueryServer   bool             `opt:"startLiveQueryServer" env:"PARSE_SERVER_START_LIVE_QUERY_SERVER" help:"Serve live queries on the same port."`
	LiveQuery              LiveQuery        `opt:"liveQuery" env:"PARSE_SERVER_LIVE_QUERY" help:"{\"classNames\":[…],\"redisURL\":…}: classes that publish events, default every class of schema.json; the Redis that tells other servers of them."`
	LiveQueryServerOptions LiveQueryOptions `opt:"liveQueryServerOptions" env:"PARSE_SERVER_LIVE_QUERY_SERVER_OPTIONS" help:"{\"keyPairs\":{…},\"websocketTimeout\":ms,\"redisURL\":…}; the Redis that tells of the changes of other servers."`

	LogLevel string `opt:"logLevel" env:"PARSE_SERVER_LOG_LEVEL" help:"error, warn, info or debug."`
	JSONLogs bool   `opt:"jsonLogs" env:"JSON_LOGS" help:"Log in JSON."`
	Verbose  bool   `opt:"verbose" env:"VERBOSE" help:"The same as logLevel debug."`
	Silent   bool   `opt:"silent" env:"SILENT" help:"Log nothing but errors."`

	// Warnings are told once at start: options that are known but not served yet.
	Warnings []string `opt:"-"`

	custom custom
}

// Default returns the defaults.
func Default() Config {
	return Config{
		MasterKeyIPs:                     []string{"127.0.0.1", "::1"},
		ReadOnlyMasterKeyIPs:             []string{"0.0.0.0/0", "::0"},
		MaintenanceKeyIPs:                []string{"127.0.0.1", "::1"},
		Host:                             "0.0.0.0",
		Port:                             1337,
		MountPath:                        "/parse",
		MaxUploadSize:                    "20mb",
		Durability:                       "full",
		DataDir:                          "pargo-data",
		ObjectIDSize:                     10,
		DefaultLimit:                     100,
		EnableAnonymousUsers:             true,
		EnforcePrivateUsers:              true,
		EnableSanitizedErrorResponse:     true,
		ExpireInactiveSessions:           true,
		SessionLength:                    31536000,
		RevokeSessionOnPasswordReset:     true,
		SendUserEmailVerification:        true,
		EmailVerifySuccessOnInvalidEmail: true,
		ProtectedFields:                  json.RawMessage(`{"_User":{"*":["email"]}}`),
		ProtectedFieldsOwnerExempt:       true,
		RequestKeywordDenylist:           json.RawMessage(`[{"key":"_bsontype","value":"Code"},{"key":"constructor"},{"key":"__proto__"}]`),
		AllowReadOnlyAggregate:           true,
		PasswordCost:                     10,
		PasswordAlgorithm:                "bcrypt",
		CacheTTL:                         5000,
		CacheMaxSize:                     50_000,
		LogLevel:                         "info",

		ProtectedFieldsSaveResponseExempt: true,

		EnableProductPurchaseLegacyAPI: true,
	}
}

// Problems is everything wrong with a configuration, one line each.
type Problems []string

// Error implements error; the lines are joined.
func (p Problems) Error() string { return strings.Join(p, "\n") }

func (p *Problems) addf(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// Validate checks all options together and returns Problems, or nil.
func (c *Config) Validate() error {
	var p Problems
	if _, err := c.Security(); err != nil {
		p.addf("%s", err)
	}
	if c.MasterKey != "" && c.MasterKey == c.ReadOnlyMasterKey {
		p.addf("masterKey and readOnlyMasterKey should be different")
	}
	if c.MasterKey != "" && c.MasterKey == c.MaintenanceKey {
		p.addf("masterKey and maintenanceKey should be different")
	}
	for name, list := range map[string][]string{"masterKeyIps": c.MasterKeyIPs, "readOnlyMasterKeyIps": c.ReadOnlyMasterKeyIPs, "maintenanceKeyIps": c.MaintenanceKeyIPs} {
		for _, e := range list {
			if _, err := ParseIPRange(e); err != nil {
				p.addf("The Parse Server option %q contains an invalid IP address %q.", name, e)
			}
		}
	}
	for name, u := range map[string]string{"serverURL": c.ServerURL, "publicServerURL": c.PublicServerURL} {
		if u == "" {
			continue
		}
		parsed, err := url.Parse(u)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			p.addf("The option %s must be a valid URL starting with http:// or https://.", name)
		}
	}
	if c.Port < 0 || c.Port > 65535 {
		p.addf("The option port must be between 0 and 65535, not %d.", c.Port)
	}
	if !strings.HasPrefix(c.MountPath, "/") {
		p.addf("The option mountPath must begin with a slash, not %q.", c.MountPath)
	}
	if _, err := c.MaxBody(); err != nil {
		p.addf("%s", err)
	}
	if c.ExpireInactiveSessions && c.SessionLength <= 0 {
		p.addf("Session length must be a value greater than 0.")
	}
	c.checkLive(&p)
	if c.DefaultLimit <= 0 {
		p.addf("Default limit must be a value greater than 0.")
	}
	if c.MaxLimit < 0 {
		p.addf("Max limit must be a value greater than 0.")
	}
	if c.ObjectIDSize < 4 || c.ObjectIDSize > 64 {
		p.addf("The option objectIdSize must be between 4 and 64.")
	}
	if c.PasswordCost < 4 || c.PasswordCost > 31 {
		p.addf("The option passwordCost must be between 4 and 31.")
	}
	if _, err := c.Argon2(); err != nil {
		p.addf("%s", err)
	}
	if c.Durability != "full" && c.Durability != "normal" {
		p.addf("The option durability must be full or normal, not %q.", c.Durability)
	}
	if _, err := c.Database(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.Proxies(); err != nil {
		p.addf("%s", err)
	}
	for _, re := range c.RouteAllowList {
		if _, err := regexp.Compile(re); err != nil {
			p.addf("The option routeAllowList contains an invalid regex pattern: %q.", re)
		}
	}
	if _, err := c.AuthProviders(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.Denylist(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.Complexity(); err != nil {
		p.addf("%s", err)
	}
	c.checkCache(&p)
	if _, err := c.Installations(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.RateLimits(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.Connections(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.Idempotency(); err != nil {
		p.addf("%s", err)
	}
	c.checkMail(&p)
	c.checkPasswords(&p)
	c.checkPages(&p)
	if _, err := c.DatabaseUse(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.RawAggregates(); err != nil {
		p.addf("%s", err)
	}
	for _, h := range c.AllowHeaders {
		if strings.TrimSpace(h) == "" {
			p.addf("Allow headers must not contain empty strings")
		}
	}
	switch c.LogLevel {
	case "error", "warn", "info", "debug", "verbose", "silly":
	default:
		p.addf("The option logLevel must be one of error, warn, info, debug, verbose, silly, not %q.", c.LogLevel)
	}
	if len(p) > 0 {
		return p
	}
	return nil
}

// Database kinds.
const (
	SQLite     = "sqlite"
	MongoDB    = "mongodb"
	PostgreSQL = "postgresql"
)

// DB says which database to open.
type DB struct {
	Kind string
	// Location is a file name ("" for in memory) or a URI.
	Location string
}

// Database reads databaseURI.
func (c *Config) Database() (DB, error) {
	scheme, rest, _ := strings.Cut(c.DatabaseURI, ":")
	switch {
	case c.DatabaseURI == "":
		return DB{SQLite, c.DataDir + "/pargo.db"}, nil
	case scheme == "sqlite":
		rest = strings.TrimPrefix(rest, "//")
		if rest == "" {
			return DB{}, fmt.Errorf("The option databaseURI names no file: write sqlite:FILE or sqlite::memory:.")
		}
		if rest == ":memory:" {
			rest = ""
		}
		return DB{SQLite, rest}, nil
	case scheme == "mongodb" || scheme == "mongodb+srv":
		return DB{MongoDB, c.DatabaseURI}, nil
	case scheme == "postgres" || scheme == "postgresql":
		return DB{PostgreSQL, c.DatabaseURI}, nil
	}
	not := ""
	if schemeFormat.MatchString(scheme) { // anything else may be a password
		not = fmt.Sprintf(", not %q", scheme+":")
	}
	return DB{}, fmt.Errorf("The option databaseURI must begin with sqlite:, mongodb:// or postgres://%s.", not)
}

// MaxBody returns maxUploadSize in bytes.
func (c *Config) MaxBody() (int64, error) {
	n, err := size(c.MaxUploadSize)
	if err != nil {
		return 0, fmt.Errorf("The option maxUploadSize must be a size such as 20mb, not %q.", c.MaxUploadSize)
	}
	return n, nil
}

// ParseIPRange reads one entry of an IP list: an address or a CIDR range. The
// wildcards 0.0.0.0 and ::0 stand for every address of their family.
func ParseIPRange(s string) (netip.Prefix, error) {
	switch s {
	case "0.0.0.0":
		s = "0.0.0.0/0"
	case "::", "::0":
		s = "::/0"
	}
	if strings.Contains(s, "/") {
		if strings.HasPrefix(s, "::0/") {
			s = "::/" + strings.TrimPrefix(s, "::0/")
		}
		p, err := netip.ParsePrefix(s)
		if a := p.Addr(); err == nil && a.Is4In6() && p.Bits() >= mappedBits {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-mappedBits)
		}
		return p, err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap() // as the addresses are that are looked for
	return netip.PrefixFrom(a, a.BitLen()), nil
}

var schemeFormat = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]{0,30}$`)

// mappedBits are those before the IPv4 address in ::ffff:a.b.c.d.
const mappedBits = 96

// namedRanges are the names that Express has for ranges of addresses.
var namedRanges = map[string][]netip.Prefix{
	"loopback":  {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	"linklocal": {netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")},
	"uniquelocal": {
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
	},
}

// ProxyTrust says which peers may state the client's address.
type ProxyTrust struct {
	All bool
	// Hops is how many of the nearest addresses are proxies of one's own,
	// whatever they are: the peer is the first.
	Hops   int
	Ranges []netip.Prefix
}

// Proxies reads trustProxy: a boolean, a number of hops, one range, or a list
// of ranges.
func (c *Config) Proxies() (ProxyTrust, error) {
	var list []string
	switch v := c.TrustProxy.(type) {
	case nil:
		return ProxyTrust{}, nil
	case bool:
		return ProxyTrust{All: v}, nil
	case float64:
		return proxyHops(v)
	case string:
		switch v {
		case "true":
			return ProxyTrust{All: true}, nil
		case "", "false":
			return ProxyTrust{}, nil
		}
		if n, err := strconv.Atoi(v); err == nil {
			return proxyHops(float64(n))
		}
		list = strings.Split(v, ",")
	case []any:
		for _, e := range v {
			list = append(list, fmt.Sprint(e))
		}
	default:
		return ProxyTrust{}, fmt.Errorf("The option trustProxy must be true, false, a number of hops or a list of addresses.")
	}
	var t ProxyTrust
	for _, e := range list {
		e = strings.TrimSpace(e)
		if named := namedRanges[e]; named != nil {
			t.Ranges = append(t.Ranges, named...)
			continue
		}
		r, err := ParseIPRange(e)
		if err != nil {
			return ProxyTrust{}, fmt.Errorf("The option trustProxy contains an invalid IP address %q.", e)
		}
		t.Ranges = append(t.Ranges, r)
	}
	return t, nil
}

func proxyHops(n float64) (ProxyTrust, error) {
	if n != math.Trunc(n) || n < 0 || n > math.MaxInt16 {
		return ProxyTrust{}, fmt.Errorf("The option trustProxy must be a whole number of hops, not %v.", n)
	}
	return ProxyTrust{Hops: int(n)}, nil
}
