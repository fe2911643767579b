package config

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
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
	// Ignored lists what was given of Parse Server's options and has no effect.
	Ignored []string
}

// ignoredDatabaseOptions are those of Parse Server that have no effect. What
// the driver of MongoDB reads can be said in databaseURI as well.
var ignoredDatabaseOptions = strings.Fields(`appName authMechanism authMechanismProperties authSource autoSelectFamily
	autoSelectFamilyAttemptTimeout batchSize clientMetadata compressors connectTimeoutMS createIndexAuthDataUniqueness
	createIndexRoleName createIndexUserEmail createIndexUserEmailCaseInsensitive createIndexUserEmailVerifyToken
	createIndexUserPasswordResetToken createIndexUserUsername createIndexUserUsernameCaseInsensitive directConnection
	forceServerObjectId heartbeatFrequencyMS loadBalanced localThresholdMS
	logClientEvents maxConnecting maxIdleTimeMS maxPoolSize maxStalenessSeconds minPoolSize proxyHost proxyPassword
	proxyPort proxyUsername readConcernLevel readPreference readPreferenceTags replicaSet retryReads retryWrites
	serverMonitoringMode serverSelectionTimeoutMS socketTimeoutMS srvMaxHosts srvServiceName ssl tls
	tlsAllowInvalidCertificates tlsAllowInvalidHostnames tlsCAFile tlsCertificateKeyFile tlsCertificateKeyFilePassword
	tlsInsecure waitQueueTimeoutMS zlibCompressionLevel`)

// databaseVariables are the environment variables of single databaseOptions.
var databaseVariables = map[string]string{
	"PARSE_SERVER_DATABASE_ALLOW_PUBLIC_EXPLAIN":           "allowPublicExplain",
	"PARSE_SERVER_DATABASE_MAX_TIME_MS":                    "maxTimeMS",
	"PARSE_SERVER_DATABASE_SCHEMA_CACHE_TTL":               "schemaCacheTtl",
	"PARSE_SERVER_DATABASE_ENABLE_SCHEMA_HOOKS":            "enableSchemaHooks",
	"PARSE_SERVER_DATABASE_DISABLE_INDEX_FIELD_VALIDATION": "disableIndexFieldValidation",
}

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
				return out, fmt.Errorf("The option databaseOptions.schemaCacheTtl must be a number of seconds.")
			}
			const longest = 24 * time.Hour
			out.SchemaCacheTTL = time.Duration(min(n, longest.Seconds()) * float64(time.Second))
		case name == "maxTimeMS":
			n, ok := v.(float64)
			if !ok || n < 0 || n != math.Trunc(n) || n > math.MaxInt32 {
				return out, fmt.Errorf("The option databaseOptions.maxTimeMS must be a number of milliseconds.")
			}
			out.MaxTime = time.Duration(n) * time.Millisecond
		case slices.Contains(ignoredDatabaseOptions, name):
			out.Ignored = append(out.Ignored, name)
		default:
			return out, fmt.Errorf("unknown option databaseOptions.%s", name)
		}
	}
	return out, nil
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
		return fmt.Errorf("invalid value %s", text)
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
