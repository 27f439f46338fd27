package node

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error; "" for none
	}{
		{"default", func(*Config) {}, ""},
		{"development on loopback", func(c *Config) { c.Dev, c.Addr = true, "[::1]:8080" }, ""},
		{"development elsewhere", func(c *Config) { c.Dev, c.Addr = true, "0.0.0.0:8080" }, "SLUICE_ADDR is \"0.0.0.0:8080\"; with SLUICE_DEV"},
		{"development everywhere", func(c *Config) { c.Dev, c.Addr = true, ":8080" }, "with SLUICE_DEV it must be a loopback address"},
		{"no port", func(c *Config) { c.Addr = "localhost" }, "it must be host:port"},
		{"metrics elsewhere", func(c *Config) { c.MetricsAddr = "10.0.0.1:9090" }, ""},
		{"metrics without a port", func(c *Config) { c.MetricsAddr = "localhost" }, "SLUICE_METRICS_ADDR is \"localhost\"; it must be host:port"},
		{"development with metrics elsewhere", func(c *Config) { c.Dev, c.MetricsAddr = true, ":9090" }, "SLUICE_METRICS_ADDR is \":9090\"; with SLUICE_DEV"},
		{"no data directory", func(c *Config) { c.Data = "" }, "SLUICE_DATA is empty"},
		{"issuer in clear", func(c *Config) { c.Issuer, c.Audience = "http://id.example.com/", "sluice" }, "must be an https URL"},
		{"issuer without a host", func(c *Config) { c.Issuer, c.Audience = "https:///path", "sluice" }, "must be an https URL"},
		{"issuer that is no URL", func(c *Config) { c.Issuer, c.Audience = "https://id.example.com:x/", "sluice" }, "must be an https URL"},
		{"issuer on loopback", func(c *Config) { c.Issuer, c.Audience = "http://127.0.0.1:9/", "sluice" }, ""},
		{"issuer without audience", func(c *Config) { c.Issuer = "https://id.example.com/" }, "must be set together"},
		{"log level", func(c *Config) { c.LogLevel = "loud" }, "SLUICE_LOG_LEVEL is \"loud\""},
		{"no catch-ups", func(c *Config) { c.MaxCatchUps = 0 }, "SLUICE_MAX_CATCH_UPS is 0; it must be greater than 0"},
		{"no files", func(c *Config) { c.MaxFiles = -1 }, "SLUICE_MAX_FILES is -1; it must be greater than 0"},
		{"shared setting", func(c *Config) { c.Lanes = 0 }, "SLUICE_LANES is 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultConfig()
			c.change(&config)
			err := config.Validate()
			if c.want == "" && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestConfigReportsEverythingAtOnce(t *testing.T) {
	config := DefaultConfig()
	config.Addr, config.Lanes, config.LogLevel = "nowhere", 0, "loud"
	err := config.Validate()
	for _, name := range []string{"SLUICE_ADDR", "SLUICE_LANES", "SLUICE_LOG_LEVEL"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestRowsHaveNamesOfTheirOwn(t *testing.T) {
	config := DefaultConfig()
	seen := make(map[string]bool)
	for _, row := range config.Rows() {
		if seen[row.Name] || row.Doc == "" {
			t.Errorf("row %q is there twice, or says nothing", row.Name)
		}
		seen[row.Name] = true
	}
}

// Command lines, environments and config files have these names; the shared
// settings follow, as package settings has them.
func TestNamesOfTheNodesSettings(t *testing.T) {
	want := []string{
		"--addr SLUICE_ADDR=127.0.0.1:8080",
		"--metrics-addr SLUICE_METRICS_ADDR=",
		"--metrics-integrations SLUICE_METRICS_INTEGRATIONS=20",
		"--max-connections SLUICE_MAX_CONNECTIONS=0",
		"--data SLUICE_DATA=./.sluice",
		"--dev SLUICE_DEV=false",
		"--issuer SLUICE_ISSUER=",
		"--audience SLUICE_AUDIENCE=",
		"--disk-reserve SLUICE_DISK_RESERVE=256MiB",
		"--tenant-publish-rate SLUICE_TENANT_PUBLISH_RATE=10MiB",
		"--tenant-log-bytes SLUICE_TENANT_LOG_BYTES=0",
		"--log-level SLUICE_LOG_LEVEL=info",
		"--max-catch-ups SLUICE_MAX_CATCH_UPS=256",
		"--max-files SLUICE_MAX_FILES=16",
	}
	config := DefaultConfig()
	var got []string
	for _, row := range config.Rows()[:len(config.Rows())-len(config.Table())] {
		got = append(got, "--"+row.Name+" "+row.Env()+"="+row.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each row sets its own field and no other.
func TestEveryRowOfTheNodeSetsItsOwnField(t *testing.T) {
	config := DefaultConfig()
	for text, field := range map[string]*string{
		"addr": &config.Addr, "metrics-addr": &config.MetricsAddr, "data": &config.Data,
		"issuer": &config.Issuer, "audience": &config.Audience, "log-level": &config.LogLevel,
	} {
		for _, row := range config.Rows() {
			if row.Name != text {
				continue
			}
			if err := row.Set(text); err != nil || *field != text {
				t.Errorf("--%s set the field to %q, %v", text, *field, err)
			}
		}
	}
}
