package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// defaultConns is how many connections a pool has at most, as with Parse Server.
const defaultConns = 10

// ours are the parameters of Parse Server's URIs that pgx does not know. What
// has no meaning here is left out without a word, as there is no choice: values
// come in binary, and unused connections are noticed.
var ours = []string{
	"ssl", "ca", "pfx", "cert", "key", "passphrase", "rejectUnauthorized", "secureOptions", "client_encoding", "fallback_application_name",
	"binary", "poolSize", "max", "query_timeout", "statement_timeout", "idleTimeoutMillis", "keepAlive", "keepAliveInitialDelayMillis",
}

// parseURI reads a connection string, and parameters that win over its own.
func parseURI(uri string, more map[string]string) (*pgxpool.Config, error) {
	u, err := url.Parse(uri)
	if err != nil {
		// The text of the error would repeat the password.
		return nil, errors.New("postgres uri: it is malformed")
	}
	given := u.Query()
	for name, v := range more {
		given.Set(name, v)
	}
	u.RawQuery = given.Encode()
	rest := u.Query()
	for _, name := range ours {
		rest.Del(name)
	}
	u.RawQuery = rest.Encode()
	cfg, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("postgres uri: %w", err)
	}
	if cfg.ConnConfig.Config.Database == "" {
		cfg.ConnConfig.Config.Database = "postgres"
	}
	params := cfg.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "pargo"
		if name := given.Get("fallback_application_name"); name != "" {
			params["application_name"] = name
		}
	}
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	if !rest.Has("pool_max_conns") {
		cfg.MaxConns = defaultConns
	}
	for _, name := range []string{"poolSize", "max"} {
		n, err := integer(given, name, 1, 10_000)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			cfg.MaxConns = int32(n)
		}
	}
	cfg.MinConns = min(cfg.MinConns, cfg.MaxConns)
	idle, err := integer(given, "idleTimeoutMillis", 0, 1<<31)
	if err != nil {
		return nil, err
	}
	if idle > 0 {
		cfg.MaxConnIdleTime = time.Duration(idle) * time.Millisecond
	}
	for _, name := range []string{"query_timeout", "statement_timeout"} {
		n, err := integer(given, name, 0, 1<<31-1)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			params["statement_timeout"] = strconv.Itoa(n)
		}
	}
	return cfg, secure(cfg, given)
}

func integer(given url.Values, name string, least, most int) (int, error) {
	text := given.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("postgres uri: parameter %s must be a number from %d to %d", name, least, most)
	}
	return n, nil
}

// secure applies what Parse Server's URIs say of TLS, which wins over sslmode.
// As with Parse Server, ssl=true alone checks the certificate of the server.
func secure(cfg *pgxpool.Config, given url.Values) error {
	for _, name := range []string{"pfx", "passphrase", "secureOptions"} {
		if given.Get(name) != "" {
			return fmt.Errorf("postgres uri: parameter %s is not served: give ca, cert and key as PEM files", name)
		}
	}
	any := strings.EqualFold(given.Get("ssl"), "true")
	for _, name := range []string{"ca", "cert", "key", "rejectUnauthorized"} {
		any = any || given.Get(name) != ""
	}
	if !any {
		return nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ConnConfig.Host}
	if v := given.Get("rejectUnauthorized"); v != "" && !strings.EqualFold(v, "true") {
		t.InsecureSkipVerify = true
	}
	if path := given.Get("ca"); path != "" {
		text, err := pem(path)
		if err != nil {
			return fmt.Errorf("postgres uri: ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return errors.New("postgres uri: ca: there is no certificate in PEM")
		}
	}
	if cert, key := given.Get("cert"), given.Get("key"); cert != "" || key != "" {
		certText, err := pem(cert)
		if err != nil {
			return fmt.Errorf("postgres uri: cert: %w", err)
		}
		keyText, err := pem(key)
		if err != nil {
			return fmt.Errorf("postgres uri: key: %w", err)
		}
		pair, err := tls.X509KeyPair(certText, keyText)
		if err != nil {
			return fmt.Errorf("postgres uri: cert and key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	cfg.ConnConfig.TLSConfig = t
	cfg.ConnConfig.Fallbacks = nil
	return nil
}

// pem returns the text of a certificate or key, which may be given by the name of a file.
func pem(s string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(s), "-----BEGIN") {
		return []byte(s), nil
	}
	return os.ReadFile(s) //nolint:gosec // the operator's choice
}
