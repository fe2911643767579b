package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/server/config"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := write(t, "c.json", `{"appId":"file","masterKey":"fileMaster","port":2000,"host":"127.0.0.2","mountPath":"/api"}`)
	c, err := config.Load([]string{"--config", file, "--port", "4000"}, []string{"PORT=3000", "PARSE_SERVER_MASTER_KEY=envMaster", "HOME=/x"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.AppID, c.MasterKey, c.Port, c.Host, c.MountPath, c.DefaultLimit}
	want := []any{"file", "envMaster", 4000, "127.0.0.2", "/api", 100}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestForms(t *testing.T) {
	cases := map[string]struct {
		file string
		args []string
		env  []string
		read func(config.Config) any
		want any
	}{
		"positional file":         {file: `{"appId":"a"}`, read: func(c config.Config) any { return c.AppID }, want: "a"},
		"one app in apps":         {file: `{"apps":[{"appId":"b"}]}`, read: func(c config.Config) any { return c.AppID }, want: "b"},
		"number as a string":      {file: `{"port":"1400"}`, read: func(c config.Config) any { return c.Port }, want: 1400},
		"flag with equals":        {args: []string{"--port=1500"}, read: func(c config.Config) any { return c.Port }, want: 1500},
		"flag without a value":    {args: []string{"--startLiveQueryServer", "--port", "1"}, read: func(c config.Config) any { return c.StartLiveQueryServer }, want: true},
		"boolean from variable":   {env: []string{"PARSE_SERVER_ENFORCE_PRIVATE_USERS=false"}, read: func(c config.Config) any { return c.EnforcePrivateUsers }, want: false},
		"list from variable":      {env: []string{"PARSE_SERVER_MASTER_KEY_IPS=10.0.0.0/8, ::1"}, read: func(c config.Config) any { return c.MasterKeyIPs }, want: []string{"10.0.0.0/8", "::1"}},
		"list as JSON":            {file: `{"allowOrigin":["https://a","https://b"]}`, read: func(c config.Config) any { return c.AllowOrigin }, want: []string{"https://a", "https://b"}},
		"one origin as a string":  {file: `{"allowOrigin":"https://a"}`, read: func(c config.Config) any { return c.AllowOrigin }, want: []string{"https://a"}},
		"live query classes":      {file: `{"liveQuery":{"classNames":["A","B"]}}`, read: func(c config.Config) any { return c.LiveQuery.ClassNames }, want: []string{"A", "B"}},
		"live query by variable":  {env: []string{`PARSE_SERVER_LIVE_QUERY={"classNames":["A"]}`}, read: func(c config.Config) any { return c.LiveQuery.ClassNames }, want: []string{"A"}},
		"schema as a path":        {args: []string{"--schema", "x.json"}, read: func(c config.Config) any { return string(c.Schema) }, want: `"x.json"`},
		"schema as definitions":   {file: `{"schema":{"definitions":[]}}`, read: func(c config.Config) any { return string(c.Schema) }, want: `{"definitions":[]}`},
		"null leaves the default": {file: `{"port":null}`, read: func(c config.Config) any { return c.Port }, want: 1337},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			args := tc.args
			if tc.file != "" {
				args = append([]string{write(t, "c.json", tc.file)}, args...)
			}
			c, err := config.Load(args, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, tc.read(c)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAllProblemsAreListed(t *testing.T) {
	file := write(t, "c.json", `{"appId":1,"colour":"red","port":70000,"masterKeyIps":["nowhere"],"databaseURI":"oracle://x","databaseAdapter":{},"defaultLimit":0,"liveQuery":{"regexTimeout":-1}}`)
	_, err := config.Load([]string{file, "--unknownFlag", "1"}, []string{"PORT=many"})
	var p config.Problems
	if !errors.As(err, &p) {
		t.Fatalf("want Problems, got %v", err)
	}
	text := p.Error()
	for _, want := range []string{
		"option appId: must be a string, not 1",
		"unknown option colour",
		"Key port has invalid value many",
		"unknown option '--unknownFlag'",
		"option databaseAdapter is not served by this version",
		`"masterKeyIps" contains an invalid IP address "nowhere"`,
		"databaseURI must begin with",
		"liveQuery.regexTimeout must not be negative",
		"Default limit must be a value greater than 0.",
		"port must be between 0 and 65535",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in:\n%s", want, text)
		}
	}
}

func TestRefusals(t *testing.T) {
	cases := map[string]struct{ file, want string }{
		"not JSON":               {`{`, "is not a JSON object"},
		"two apps":               {`{"apps":[{"appId":"a"},{"appId":"b"}]}`, "Multiple apps are not supported"},
		"same keys":              {`{"masterKey":"k","readOnlyMasterKey":"k"}`, "masterKey and readOnlyMasterKey should be different"},
		"bad URL":                {`{"publicServerURL":"localhost"}`, "must be a valid URL"},
		"bad size":               {`{"maxUploadSize":"huge"}`, "maxUploadSize must be a size"},
		"bad mount path":         {`{"mountPath":"parse"}`, "mountPath must begin with a slash"},
		"bad session length":     {`{"sessionLength":0}`, "Session length must be a value greater than 0."},
		"bad durability":         {`{"durability":"maybe"}`, "durability must be full or normal"},
		"bad regular expression": {`{"routeAllowList":["("]}`, "invalid regex pattern"},
		"half a proxy":           {`{"trustProxy":1.5}`, "trustProxy must be a whole number of hops"},
		"bad proxy":              {`{"trustProxy":["x"]}`, "trustProxy contains an invalid IP address"},
		"unknown nested option":  {`{"liveQuery":{"classes":["A"]}}`, "option liveQuery: is not valid"},
		"fractional number":      {`{"port":1.5}`, "must be a whole number"},
		"file is missing":        {"", "no such file"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "none.json")
			if tc.file != "" {
				path = write(t, "c.json", tc.file)
			}
			_, err := config.Load([]string{path}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}

func TestOptionsOfParseServerInTheEnvironment(t *testing.T) {
	_, err := config.Load(nil, []string{"PARSE_SERVER_DATABASE_ADAPTER=x"})
	if err == nil || !strings.Contains(err.Error(), "option databaseAdapter is not served") {
		t.Errorf("got %v", err)
	}
	c, err := config.Load(nil, []string{"PARSE_SERVER_MASTER_KEY_TTL=5"})
	if err != nil || len(c.Warnings) != 1 {
		t.Errorf("%v, warnings %v", err, c.Warnings)
	}
}

func TestKnownOptionsWarn(t *testing.T) {
	c, err := config.Load([]string{write(t, "c.json", `{"push":{},"masterKeyTtl":5}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"option masterKeyTtl has no effect in this version", "option push has no effect in this version"}
	if d := cmp.Diff(want, c.Warnings); d != "" {
		t.Error(d)
	}
}

func TestDatabase(t *testing.T) {
	cases := map[string]config.DB{
		"":                     {Kind: config.SQLite, Location: "data/pargo.db"},
		"sqlite:x.db":          {Kind: config.SQLite, Location: "x.db"},
		"sqlite:///var/x.db":   {Kind: config.SQLite, Location: "/var/x.db"},
		"sqlite::memory:":      {Kind: config.SQLite},
		"mongodb://h/db":       {Kind: config.MongoDB, Location: "mongodb://h/db"},
		"mongodb+srv://h/db?x": {Kind: config.MongoDB, Location: "mongodb+srv://h/db?x"},
		"postgres://h/db":      {Kind: config.PostgreSQL, Location: "postgres://h/db"},
		"postgresql://h/db?x":  {Kind: config.PostgreSQL, Location: "postgresql://h/db?x"},
	}
	for uri, want := range cases {
		c := config.Default()
		c.DataDir, c.DatabaseURI = "data", uri
		got, err := c.Database()
		if err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", uri, d)
		}
	}
}

func TestMaxBody(t *testing.T) {
	for in, want := range map[string]int64{"20mb": 20 << 20, "1.5kb": 1536, "100": 100, "100b": 100, "2 MB": 2 << 20} {
		c := config.Default()
		c.MaxUploadSize = in
		if got, err := c.MaxBody(); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", in, got, err, want)
		}
	}
}

func TestSecretsAreMadeOnceAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	fill := func() config.Config {
		c := config.Default()
		c.DataDir = dir
		if made, err := c.FillSecrets(); err != nil || !made {
			t.Fatalf("made %v, %v", made, err)
		}
		return c
	}
	first, second := fill(), fill()
	if first.AppID == "" || len(first.MasterKey) < 32 || first.MasterKey != second.MasterKey {
		t.Errorf("keys must be made once: %q, %q", first.MasterKey, second.MasterKey)
	}
	info, err := os.Stat(first.SecretsFile())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", info.Mode().Perm())
	}
	given := config.Default()
	given.DataDir, given.AppID, given.MasterKey = filepath.Join(dir, "none"), "a", "m"
	if made, err := given.FillSecrets(); err != nil || made {
		t.Errorf("configured keys need no file: %v, %v", made, err)
	}
}

func TestHelpListsEveryOption(t *testing.T) {
	var b bytes.Buffer
	if err := config.Help(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--appId", "PARSE_SERVER_APPLICATION_ID", "--databaseURI", "--liveQuery", "(default /parse)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("help lacks %q", want)
		}
	}
}

// TestSchemaVariables: parts of the option schema by variables of their own.
func TestSchemaVariables(t *testing.T) {
	c, err := config.Load(nil, []string{`PARSE_SERVER_SCHEMA_DEFINITIONS=[{"className":"A"}]`, "PARSE_SERVER_SCHEMA_LOCK_SCHEMAS=true"})
	if err != nil || string(c.Schema) != `{"definitions":[{"className":"A"}],"lockSchemas":true}` {
		t.Errorf("schema %s, %v", c.Schema, err)
	}
	for name, tc := range map[string]struct{ args, env []string }{
		"variable": {nil, []string{"PARSE_SERVER_SCHEMA=other.json"}},
		"flag":     {[]string{"--schema", "schema.json"}, nil},
	} {
		_, err = config.Load(tc.args, append(tc.env, "PARSE_SERVER_SCHEMA_LOCK_SCHEMAS=true"))
		if err == nil || !strings.Contains(err.Error(), "environment variable PARSE_SERVER_SCHEMA_LOCK_SCHEMAS: the option schema names a file: set lockSchemas there") {
			t.Errorf("beside a file given by %s: %v", name, err)
		}
	}
}

func TestDatabaseOptions(t *testing.T) {
	tests := map[string]struct {
		json string
		env  []string
		want config.DatabaseUse
		err  string
	}{
		"none":   {"", nil, config.DatabaseUse{}, ""},
		"served": {`{"maxTimeMS":250,"allowPublicExplain":true}`, nil, config.DatabaseUse{AllowPublicExplain: true, MaxTime: 250 * time.Millisecond}, ""},
		"schemas": {
			`{"schemaCacheTtl":2500,"disableIndexFieldValidation":true}`,
			[]string{"PARSE_SERVER_DATABASE_ENABLE_SCHEMA_HOOKS=true"},
			config.DatabaseUse{SchemaCacheTTL: 2500 * time.Millisecond, SchemaHooks: true, AnyIndexField: true},
			"",
		},
		"no seconds":    {`{"schemaCacheTtl":"x"}`, nil, config.DatabaseUse{}, "The option databaseOptions.schemaCacheTtl must be a number of milliseconds."},
		"variable wins": {`{"maxTimeMS":250}`, []string{"PARSE_SERVER_DATABASE_MAX_TIME_MS=300"}, config.DatabaseUse{MaxTime: 300 * time.Millisecond}, ""},
		"ignored":       {`{"batchSize":5}`, nil, config.DatabaseUse{Ignored: []string{"batchSize"}}, ""},
		"in flight":     {`{"maxInFlight":7,"stallTimeoutMS":900}`, nil, config.DatabaseUse{MaxInFlight: 7, Stall: 900 * time.Millisecond}, ""},
		"no stall":      {`{"stallTimeoutMS":"x"}`, nil, config.DatabaseUse{}, "The option databaseOptions.stallTimeoutMS must be a number of milliseconds."},
		"no number":     {`{"maxInFlight":0}`, nil, config.DatabaseUse{}, "The option databaseOptions.maxInFlight must be a number of operations."},
		"driver": {
			`{"maxPoolSize":5,"retryWrites":false,"authMechanismProperties":{"A":"b","C":"d"},"readPreferenceTags":[{"dc":"ny"}]}`,
			[]string{"PARSE_SERVER_DATABASE_URI=mongodb://h", "PARSE_SERVER_DATABASE_TLS_CAFILE=/ca.pem", "PARSE_SERVER_DATABASE_CONNECT_TIMEOUT_MS=70"},
			config.DatabaseUse{Driver: map[string]string{
				"maxPoolSize": "5", "retryWrites": "false", "authMechanismProperties": "A:b,C:d", "readPreferenceTags": "dc:ny",
				"tlsCAFile": "/ca.pem", "connectTimeoutMS": "70",
			}},
			"",
		},
		"bad driver": {`{"maxPoolSize":[5,6]}`, nil, config.DatabaseUse{}, "The option databaseOptions.maxPoolSize cannot have this value."},
		"unknown":    {`{"maxTime":5}`, nil, config.DatabaseUse{}, "unknown option databaseOptions.maxTime"},
		"negative":   {`{"maxTimeMS":-1}`, nil, config.DatabaseUse{}, "The option databaseOptions.maxTimeMS must be a number of milliseconds."},
		"no boolean": {`{"allowPublicExplain":1}`, nil, config.DatabaseUse{}, "The option databaseOptions.allowPublicExplain must be a boolean."},
		"no object":  {`[]`, nil, config.DatabaseUse{}, "The option databaseOptions must be an object."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var args []string
			if tt.json != "" {
				args = []string{"--databaseOptions", tt.json}
				if tt.env != nil {
					args = []string{"--config", write(t, "c.json", `{"databaseOptions":`+tt.json+`}`)}
				}
			}
			c, err := config.Load(args, tt.env)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.DatabaseUse()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if (len(got.Ignored) > 0) != (len(c.Warnings) > 0) {
				t.Errorf("warnings %q", c.Warnings)
			}
		})
	}
}

// TestRefusalsTellNoSecrets: what is wrong with a secret is told without it.
func TestRefusalsTellNoSecrets(t *testing.T) {
	for _, file := range []string{
		`{"masterKey":["s3cr3t"]}`, `{"masterKey":{"s3cr3t":1}}`, `{"masterKey":5333337}`, `{"clientKey":["s3cr3t"]}`, `{"webhookKey":{"a":"s3cr3t"}}`,
		`{"databaseURI":"host=h user=u password=s3cr3t"}`, `{"databaseURI":"u:s3cr3t@h/db"}`, `{"databaseURI":"s3cr3t ://u@h"}`, `{"databaseURI":["postgres://u:s3cr3t@h/db"]}`,
		`{"auth":"s3cr3t"}`, `{"auth":{"google":"s3cr3t"}}`, `{"auth":{"google":{"clientId":5,"secret":"s3cr3t"}}}`, `{"auth":{"oauth":{"oauth2":true,"appidField":["s3cr3t"]}}}`,
		`{"auth":{"facebook":{"appIds":["1"],"appSecret":["s3cr3t"]}}}`, `{"auth":{"apple":{"clientId":1,"clientSecret":"s3cr3t"}}}`,
		`{"emailAdapter":"smtp://u:s3cr3t@h"}`, `{"emailAdapter":{"module":"smtp","options":{"host":"h","password":["s3cr3t"]}}}`, `{"emailAdapter":{"module":"smtp","options":"s3cr3t"}}`,
		`{"emailAdapter":{"module":"smtp","options":{"host":"u:s3cr3t@h","fromAddress":"a@b"}}}`, `{"emailAdapter":{"module":"smtp","options":{"url":"smtp://u:s3cr3t@h:x"}}}`,
		`{"cacheAdapter":"http://u:s3cr3t@h"}`, `{"cacheAdapter":"redis://u:s3cr3t@h:port"}`, `{"cacheAdapter":{"module":"redis","options":{"url":["s3cr3t"]}}}`, `{"cacheAdapter":"s3cr3t"}`,
		`{"webhookOptions":{"signingSecret":["s3cr3t"]}}`, `{"webhookOptions":"s3cr3t"}`, `{"loginThrottle":{"redisUrl":"http://u:s3cr3t@h"}}`, `{"loginThrottle":{"redisUrl":["s3cr3t"]}}`,
		`{"rateLimit":{"requestPath":"/*a","requestTimeWindow":1,"requestCount":1,"redisUrl":"redis://u:s3cr3t@h:x"}}`,
		`{"liveQuery":{"classNames":["A"],"redisURL":"http://u:s3cr3t@h"}}`, `{"liveQueryServerOptions":{"redisURL":"redis://u:s3cr3t@h:x"}}`, `{"liveQueryServerOptions":{"keyPairs":["s3cr3t"]}}`,
		`{"liveQueryServerOptions":{"keyPairs":{"masterKey":["s3cr3t"]}}}`, `{"push":{"ios":{"pfx":"s3cr3t"}}}`, `{"fileKey":"s3cr3t"}`, `{"encryptionKey":["s3cr3t"]}`,
		`{"masterKey":"s3cr3t","readOnlyMasterKey":"s3cr3t"}`, `{"masterKey":"s3cr3t",}`, `{"masterKey":"s3cr3t`, `{"masterKey":'s3cr3t'}`,
	} {
		c, err := config.Load([]string{write(t, "c.json", file)}, nil)
		text := strings.Join(c.Warnings, "\n")
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			text += err.Error()
		}
		if strings.Contains(text, "s3cr3t") || strings.Contains(text, "5333337") {
			t.Errorf("%s: %s", file, text)
		}
	}
}
