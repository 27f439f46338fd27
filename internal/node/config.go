package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/settings"
)

// Config is what a node is started with: the settings that every shape of
// Sluice shares, and those of the single binary.
type Config struct {
	settings.Settings

	Addr        string // host:port to listen on
	MetricsAddr string // host:port for /metrics alone; "" for the one of the API
	Data        string // directory of the database and the keys
	Dev         bool   // loopback receivers are allowed
	Issuer      string // OpenID Connect issuer of access tokens; "" for the node's own key
	Audience    string // that the issuer's tokens must name
	LogLevel    string // debug, info, warn or error
}

// DefaultConfig has the values that are used where nothing is set.
func DefaultConfig() Config {
	return Config{Settings: settings.Default(), Addr: "127.0.0.1:8080", Data: "./.sluice", LogLevel: "info"}
}

// Rows lists every setting of a node.
func (c *Config) Rows() []settings.Setting {
	return append([]settings.Setting{
		settings.Text("addr", "host:port to listen on", &c.Addr),
		settings.Text("metrics-addr", "host:port to serve /metrics on, and nowhere else (default: where the API is)", &c.MetricsAddr),
		settings.Text("data", "directory of the database and the keys", &c.Data),
		settings.Bool("dev", "development: allow loopback receivers, print what to do next", &c.Dev),
		settings.Text("issuer", "OpenID Connect issuer of access tokens (default: the node's own key)", &c.Issuer),
		settings.Text("audience", "audience that the issuer's tokens must have", &c.Audience),
		settings.Text("log-level", "debug (a line for every delivery), info, warn or error", &c.LogLevel),
	}, c.Table()...)
}

// Validate reports everything in the configuration that cannot be worked with.
func (c *Config) Validate() error {
	errs := c.Settings.Validate()
	errs = append(errs, c.validateAddr("SLUICE_ADDR", c.Addr, "127.0.0.1:8080"))
	if c.MetricsAddr != "" {
		errs = append(errs, c.validateAddr("SLUICE_METRICS_ADDR", c.MetricsAddr, "127.0.0.1:9090"))
	}
	if c.Data == "" {
		errs = append(errs, errors.New("SLUICE_DATA is empty; name a directory"))
	}
	if u, err := url.Parse(c.Issuer); c.Issuer != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !auth.IsLoopback(u.Hostname())) {
		errs = append(errs, fmt.Errorf("SLUICE_ISSUER is %q; it must be an https URL", c.Issuer))
	}
	if (c.Issuer == "") != (c.Audience == "") {
		errs = append(errs, errors.New("SLUICE_ISSUER and SLUICE_AUDIENCE belong together; set both or neither"))
	}
	if _, err := c.Level(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// validateAddr returns nil if the node can listen there.
func (c *Config) validateAddr(name, addr, example string) error {
	host, _, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return fmt.Errorf("%s is %q; it must be host:port, such as %s", name, addr, example)
	case c.Dev && !auth.IsLoopback(host):
		return fmt.Errorf("%s is %q; with --dev it must be a loopback address, such as %s", name, addr, example)
	}
	return nil
}

// Level is the lowest level of lines that are written to the log.
func (c *Config) Level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("SLUICE_LOG_LEVEL is %q; it must be debug, info, warn or error", c.LogLevel)
	}
	return level, nil
}
