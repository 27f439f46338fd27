package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/steadyclock"
)

// Config configures a node: the settings shared with the AWS deployment, and those
// of the single binary.
type Config struct {
	settings.Settings

	Addr                string // host:port to listen on
	MetricsAddr         string // host:port for /metrics only; "" serves it on Addr
	MetricsIntegrations int    // integrations with lag metrics of their own, those that are furthest behind
	Connections         int    // of clients at a time; 0: by the limit of descriptors
	Data                string // directory of the database and the keys
	Dev                 bool   // development: allow loopback receivers, listen on loopback only
	Issuer              string // OpenID Connect issuer of access tokens; "" uses the node's own key
	Audience            string // required audience of the issuer's tokens
	DiskReserve         int64  // bytes of the disk that publishes leave free; 0: none
	TenantPublishRate   int64  // bytes a second that a tenant may publish; 0: no limit
	TenantLogBytes      int64  // bytes that a tenant may have in the log; 0: no limit
	LogLevel            string // debug, info, warn or error
	MaxCatchUps         int    // webhook catch-ups at a time; each takes about 190 KiB
	MaxFiles            int    // S3 files uploaded at a time; each takes about 5 MiB

	clock *steadyclock.Clock // of a test; nil for the system's
}

// DefaultConfig returns the default configuration.
func DefaultConfig() Config {
	return Config{
		Settings: settings.Default(), Addr: "127.0.0.1:8080", MetricsIntegrations: 20, Data: "./.sluice", LogLevel: "info",
		DiskReserve: defaultReserve, TenantPublishRate: 10 << 20, MaxCatchUps: 256, MaxFiles: 16,
	}
}

// Rows returns a row for every setting of a node. Setting a row sets the field of c.
func (c *Config) Rows() []settings.Setting {
	return append([]settings.Setting{
		settings.Text("addr", "host:port to listen on", &c.Addr),
		settings.Text("metrics-addr", "host:port to serve only /metrics on (default: /metrics is on --addr)", &c.MetricsAddr),
		settings.Count("metrics-integrations", "integrations with lag metrics of their own, those that are furthest behind", &c.MetricsIntegrations),
		settings.Count("max-connections", "client connections at a time (default: a quarter of the open files allowed, at most 10,000)", &c.Connections),
		settings.Text("data", "directory of the database and the keys", &c.Data),
		settings.Bool("dev", "development mode: allow loopback receivers, print commands to try", &c.Dev),
		settings.Text("issuer", "OpenID Connect issuer of access tokens (default: the node's own key)", &c.Issuer),
		settings.Text("audience", "required audience of the issuer's tokens", &c.Audience),
		settings.Size("disk-reserve", "free disk space below which publishes are refused; 0: none", &c.DiskReserve),
		settings.Size("tenant-publish-rate", "bytes a second that a tenant may publish, ten times that at once; 0: no limit", &c.TenantPublishRate),
		settings.Size("tenant-log-bytes", "bytes that a tenant may have in the log; 0: no limit", &c.TenantLogBytes),
		settings.Text("log-level", "debug (logs every delivery), info, warn or error", &c.LogLevel),
		settings.Count("max-catch-ups", "webhook integrations that catch up at a time; a tenant gets at most half", &c.MaxCatchUps),
		settings.Count("max-files", "S3 files uploaded at a time; a tenant gets at most half", &c.MaxFiles),
	}, c.Table()...)
}

// Validate returns an error that joins every invalid value, or nil.
func (c *Config) Validate() error {
	errs := c.Settings.Validate()
	errs = append(errs, c.validateAddr("SLUICE_ADDR", c.Addr, "127.0.0.1:8080"))
	if c.MetricsAddr != "" {
		errs = append(errs, c.validateAddr("SLUICE_METRICS_ADDR", c.MetricsAddr, "127.0.0.1:9090"))
	}
	if c.MetricsIntegrations < 0 {
		errs = append(errs, fmt.Errorf("SLUICE_METRICS_INTEGRATIONS is %d; it must be 0 or more", c.MetricsIntegrations))
	}
	if c.Connections < 0 {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_CONNECTIONS is %d; it must be greater than 0, or 0 for a quarter of the open files allowed", c.Connections))
	}
	if c.MaxCatchUps <= 0 {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_CATCH_UPS is %d; it must be greater than 0", c.MaxCatchUps))
	}
	if c.MaxFiles <= 0 {
		errs = append(errs, fmt.Errorf("SLUICE_MAX_FILES is %d; it must be greater than 0", c.MaxFiles))
	}
	if c.Data == "" {
		errs = append(errs, errors.New("SLUICE_DATA is empty; set it to a directory"))
	}
	if u, err := url.Parse(c.Issuer); c.Issuer != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !auth.IsLoopback(u.Hostname())) {
		errs = append(errs, fmt.Errorf("SLUICE_ISSUER is %q; it must be an https URL", c.Issuer))
	}
	if (c.Issuer == "") != (c.Audience == "") {
		errs = append(errs, errors.New("SLUICE_ISSUER and SLUICE_AUDIENCE must be set together; set both or neither"))
	}
	if _, err := c.Level(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// connections returns the limit of client connections.
func (c *Config) connections() int {
	if c.Connections > 0 {
		return c.Connections
	}
	return defaultConnections()
}

// validateAddr returns an error unless addr is host:port and allowed by Dev.
func (c *Config) validateAddr(name, addr, example string) error {
	host, _, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return fmt.Errorf("%s is %q; it must be host:port, such as %s", name, addr, example)
	case c.Dev && !auth.IsLoopback(host):
		return fmt.Errorf("%s is %q; with SLUICE_DEV it must be a loopback address, such as %s", name, addr, example)
	}
	return nil
}

// Level returns the minimum level of log lines.
func (c *Config) Level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("SLUICE_LOG_LEVEL is %q; it must be debug, info, warn or error", c.LogLevel)
	}
	return level, nil
}
