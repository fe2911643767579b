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
	// Ignored lists what was given of Parse Server's options and has no effect.
	Ignored []string
}

// ignoredDatabaseOptions are those of Parse Server that have no effect. What
// the driver of MongoDB reads can be said in databaseURI as well.
var ignoredDatabaseOptions = strings.Fields(`appName authMechanism authMechanismProperties authSource autoSelectFamily
	autoSelectFamilyAttemptTimeout batchSize clientMetadata compressors connectTimeoutMS createIndexAuthDataUniqueness
	createIndexRoleName createIndexUserEmail createIndexUserEmailCaseInsensitive createIndexUserEmailVerifyToken
	createIndexUserPasswordResetToken createIndexUserUsername createIndexUserUsernameCaseInsensitive directConnection
	disableIndexFieldValidation enableSchemaHooks forceServerObjectId heartbeatFrequencyMS loadBalanced localThresholdMS
	logClientEvents maxConnecting maxIdleTimeMS maxPoolSize maxStalenessSeconds minPoolSize proxyHost proxyPassword
	proxyPort proxyUsername readConcernLevel readPreference readPreferenceTags replicaSet retryReads retryWrites
	schemaCacheTtl serverMonitoringMode serverSelectionTimeoutMS socketTimeoutMS srvMaxHosts srvServiceName ssl tls
	tlsAllowInvalidCertificates tlsAllowInvalidHostnames tlsCAFile tlsCertificateKeyFile tlsCertificateKeyFilePassword
	tlsInsecure waitQueueTimeoutMS zlibCompressionLevel`)

// databaseVariables are the environment variables of single databaseOptions.
var databaseVariables = map[string]string{
	"PARSE_SERVER_DATABASE_ALLOW_PUBLIC_EXPLAIN": "allowPublicExplain",
	"PARSE_SERVER_DATABASE_MAX_TIME_MS":          "maxTimeMS",
}

// DatabaseUse reads databaseOptions.
func (c *Config) DatabaseUse() (DatabaseUse, error) {
	var out DatabaseUse
	m, err := object(c.DatabaseOptions)
	if err != nil {
		return out, fmt.Errorf("The option databaseOptions must be an object.")
	}
	for _, name := range sorted(m) {
		v := m[name]
		switch {
		case v == nil:
		case name == "allowPublicExplain":
			allow, ok := v.(bool)
			if !ok {
				return out, fmt.Errorf("The option databaseOptions.allowPublicExplain must be a boolean.")
			}
			out.AllowPublicExplain = allow
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

// setDatabaseOption sets one of databaseOptions by the text of a variable.
func (c *Config) setDatabaseOption(name, text string) error {
	m, err := object(c.DatabaseOptions)
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
	c.DatabaseOptions, err = json.Marshal(m)
	return err
}
