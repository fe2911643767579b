package config

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DatabaseUse is the option databaseOptions as far as it is served.
type DatabaseUse struct {
	// AllowPublicExplain lets clients ask for the plans of their queries.
	AllowPublicExplain bool
	// MaxTime bounds each find and count; 0: no bound.
	MaxTime time.Duration
	// SchemaCacheTTL is how long a schema is believed that another server than
	// pargo may have changed; 0: the default.
	SchemaCacheTTL time.Duration
	// SchemaHooks asks to see such changes as soon as those of pargo.
	SchemaHooks bool
	// AnyIndexField allows indexes on fields that a class does not have.
	AnyIndexField bool
	// MaxInFlight is how many operations may be under way; 0: the default.
	MaxInFlight int
	// Stall is for how long the database may answer nothing; 0: the default.
	Stall time.Duration
	// Driver are options of MongoDB's connection string, by name.
	Driver map[string]string
	// Postgres are parameters for the URI of a PostgreSQL database, which win over
	// what it says.
	Postgres map[string]string
	// Ignored lists what was given of Parse Server's options and has no effect.
	Ignored []string
}

// ignoredDatabaseOptions are those of Parse Server that have no effect.
var ignoredDatabaseOptions = strings.Fields(`autoSelectFamily autoSelectFamilyAttemptTimeout batchSize clientMetadata
	createIndexAuthDataUniqueness createIndexRoleName createIndexUserEmail createIndexUserEmailCaseInsensitive
	createIndexUserEmailVerifyToken createIndexUserPasswordResetToken createIndexUserUsername
	createIndexUserUsernameCaseInsensitive forceServerObjectId logClientEvents proxyHost proxyPassword proxyPort
	proxyUsername tlsAllowInvalidCertificates tlsAllowInvalidHostnames waitQueueTimeoutMS`)

// driverOptions are those that MongoDB's connection string can have as well.
var driverOptions = strings.Fields(`appName authMechanism authMechanismProperties authSource compressors connectTimeoutMS
	directConnection heartbeatFrequencyMS loadBalanced localThresholdMS maxConnecting maxIdleTimeMS maxPoolSize
	maxStalenessSeconds minPoolSize readConcernLevel readPreference readPreferenceTags replicaSet retryReads retryWrites
	serverMonitoringMode serverSelectionTimeoutMS socketTimeoutMS srvMaxHosts srvServiceName ssl tls tlsCAFile
	tlsCertificateKeyFile tlsCertificateKeyFilePassword tlsInsecure zlibCompressionLevel`)

// driverValue writes the value of an option as a connection string has it.
func driverValue(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case map[string]any: // properties, tags
		parts := make([]string, 0, len(v))
		for _, name := range sorted(v) {
			text, ok := v[name].(string)
			if !ok {
				return "", false
			}
			parts = append(parts, name+":"+text)
		}
		return strings.Join(parts, ","), true
	case []any: // a list of tags, of which a connection string can have one
		if len(v) == 1 {
			return driverValue(v[0])
		}
	}
	return "", false
}

// databaseVariables are the environment variables of single databaseOptions.
var databaseVariables = func() map[string]string {
	names := append([]string{
		"allowPublicExplain", "maxTimeMS", "schemaCacheTtl", "enableSchemaHooks", "disableIndexFieldValidation", "maxInFlight", "stallTimeoutMS",
	}, driverOptions...)
	m := make(map[string]string, len(names))
	for _, name := range names {
		m["PARSE_SERVER_DATABASE_"+strings.TrimPrefix(variable(name), "PARSE_SERVER_")] = name
	}
	return m
}()

// schemaVariables are the environment variables of parts of the option schema.
var schemaVariables = map[string]string{
	"PARSE_SERVER_SCHEMA_DEFINITIONS":              "definitions",
	"PARSE_SERVER_SCHEMA_DELETE_EXTRA_FIELDS":      "deleteExtraFields",
	"PARSE_SERVER_SCHEMA_KEEP_UNKNOWN_INDEXES":     "keepUnknownIndexes",
	"PARSE_SERVER_SCHEMA_LOCK_SCHEMAS":             "lockSchemas",
	"PARSE_SERVER_SCHEMA_RECREATE_MODIFIED_FIELDS": "recreateModifiedFields",
	"PARSE_SERVER_SCHEMA_STRICT":                   "strict",
}

// DatabaseUse reads databaseOptions.
func (c *Config) DatabaseUse() (DatabaseUse, error) {
	var out DatabaseUse
	m, err := object(c.DatabaseOptions)
	if err != nil {
		return out, fmt.Errorf("The option databaseOptions must be an object.")
	}
	flags := map[string]*bool{
		"allowPublicExplain": &out.AllowPublicExplain, "enableSchemaHooks": &out.SchemaHooks, "disableIndexFieldValidation": &out.AnyIndexField,
	}
	for _, name := range sorted(m) {
		v := m[name]
		switch {
		case v == nil:
		case flags[name] != nil:
			set, ok := v.(bool)
			if !ok {
				return out, fmt.Errorf("The option databaseOptions.%s must be a boolean.", name)
			}
			*flags[name] = set
		case name == "schemaCacheTtl":
			n, ok := v.(float64)
			if !ok || n < 0 {
				return out, fmt.Errorf("The option databaseOptions.schemaCacheTtl must be a number of milliseconds.")
			}
			// Parse Server's documentation speaks of seconds, its code counts these.
			const longest = 24 * time.Hour
			out.SchemaCacheTTL = time.Duration(min(n, float64(longest.Milliseconds())) * float64(time.Millisecond))
		case name == "maxTimeMS":
			n, ok := v.(float64)
			if !ok || n < 0 || n != math.Trunc(n) || n > math.MaxInt32 {
				return out, fmt.Errorf("The option databaseOptions.maxTimeMS must be a number of milliseconds.")
			}
			out.MaxTime = time.Duration(n) * time.Millisecond
		case c.isPostgres() && postgresOptions[name]:
			if err := out.postgres(name, v); err != nil {
				return out, err
			}
		case name == "maxInFlight":
			n, ok := v.(float64)
			if !ok || n < 1 || n != math.Trunc(n) || n > math.MaxInt32 {
				return out, fmt.Errorf("The option databaseOptions.maxInFlight must be a number of operations.")
			}
			out.MaxInFlight = int(n)
		case name == "stallTimeoutMS":
			n, ok := v.(float64)
			if !ok || n < 1 || n != math.Trunc(n) || n > math.MaxInt32 {
				return out, fmt.Errorf("The option databaseOptions.stallTimeoutMS must be a number of milliseconds.")
			}
			out.Stall = time.Duration(n) * time.Millisecond
		case slices.Contains(driverOptions, name) && !c.isPostgres():
			text, ok := driverValue(v)
			if !ok {
				return out, fmt.Errorf("The option databaseOptions.%s cannot have this value.", name)
			}
			if out.Driver == nil {
				out.Driver = map[string]string{}
			}
			out.Driver[name] = text
		case slices.Contains(ignoredDatabaseOptions, name) || slices.Contains(driverOptions, name) || postgresOptions[name]:
			out.Ignored = append(out.Ignored, name)
		default:
			return out, fmt.Errorf("unknown option databaseOptions.%s", name)
		}
	}
	return out, nil
}

// postgresOptions are those that the driver of Parse Server takes for PostgreSQL.
var postgresOptions = map[string]bool{
	"application_name": true, "binary": true, "client_encoding": true, "fallback_application_name": true, "idleTimeoutMillis": true,
	"keepAlive": true, "max": true, "poolSize": true, "query_timeout": true, "ssl": true, "statement_timeout": true,
}

func (c *Config) isPostgres() bool {
	db, err := c.Database()
	return err == nil && db.Kind == PostgreSQL
}

// postgres reads an option of the driver for PostgreSQL.
func (u *DatabaseUse) postgres(name string, v any) error {
	if u.Postgres == nil {
		u.Postgres = map[string]string{}
	}
	switch v := v.(type) {
	case bool:
		u.Postgres[name] = strconv.FormatBool(v)
		return nil
	case string:
		u.Postgres[name] = v
		return nil
	case float64:
		u.Postgres[name] = strconv.FormatFloat(v, 'f', -1, 64)
		return nil
	case map[string]any:
		if name != "ssl" {
			break
		}
		for part, v := range v {
			switch part {
			case "ca", "cert", "key", "rejectUnauthorized":
			default:
				return fmt.Errorf("option databaseOptions.ssl.%s is not served: give ca, cert, key or rejectUnauthorized", part)
			}
			if err := u.postgres(part, v); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("The option databaseOptions.%s must be a boolean, a number or a text.", name)
}

// setPart sets one part of an option that is an object by the text of a variable.
func setPart(into *json.RawMessage, name, text string) error {
	m, err := object(*into)
	if err != nil {
		return nil //nolint:nilerr // Validate tells
	}
	if m == nil {
		m = map[string]any{}
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		if strings.ContainsAny(text[:1], `{["`) {
			return fmt.Errorf("invalid value %s", text)
		}
		v = text
	}
	m[name] = v
	*into, err = json.Marshal(m)
	return err
}

// RawAggregates is the option query: what holds for aggregates that do not
// say whether they want names and values as they are stored.
type RawAggregates struct{ Names, Values bool }

// queryVariables are the environment variables of the parts of the option query.
var queryVariables = map[string]string{
	"PARSE_SERVER_QUERY_AGGREGATION_RAW_FIELD_NAMES": "aggregationRawFieldNames",
	"PARSE_SERVER_QUERY_AGGREGATION_RAW_VALUES":      "aggregationRawValues",
}

// RawAggregates reads the option query.
func (c *Config) RawAggregates() (RawAggregates, error) {
	var out RawAggregates
	m, err := object(c.Query)
	if err != nil {
		return out, fmt.Errorf("The option query must be an object.")
	}
	for _, name := range sorted(m) {
		into := map[string]*bool{"aggregationRawFieldNames": &out.Names, "aggregationRawValues": &out.Values}[name]
		if into == nil {
			return out, fmt.Errorf("unknown option query.%s", name)
		}
		var ok bool
		if *into, ok = m[name].(bool); !ok && m[name] != nil {
			return out, fmt.Errorf("The option query.%s must be a boolean.", name)
		}
	}
	return out, nil
}
