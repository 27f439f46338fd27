package awsenv

import (
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/settings"
)

// deployed is the minimum that template.yaml sets.
func deployed() map[string]string {
	return map[string]string{
		"SLUICE_TABLE": "table", "SLUICE_SEGMENTS_TABLE": "segments", "SLUICE_STREAM": "stream", "SLUICE_BUCKET": "bucket", "SLUICE_KEY": "key", "SLUICE_STATE_MACHINE": "arn:machine",
		"SLUICE_QUEUE": "https://queue",
	}
}

func loadFrom(env map[string]string) (Config, error) {
	return load(func(name string) (string, bool) { value, ok := env[name]; return value, ok })
}

func TestLoad(t *testing.T) {
	env := deployed()
	env["SLUICE_LOG_LEVEL"], env["SLUICE_SEEK_MARGIN"], env["SLUICE_LANES"] = "warn", "20m", "3"
	c, err := loadFrom(env)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Table, c.Segments, c.Stream, c.Bucket, c.Key, c.StateMachine, c.Queue, c.SeekMargin.String()}
	if diff := cmp.Diff([]string{"table", "segments", "stream", "bucket", "key", "arn:machine", "https://queue", "20m0s"}, got); diff != "" || c.Lanes != 3 {
		t.Errorf("%d lanes, and (-want +got):\n%s", c.Lanes, diff)
	}
	if level, err := c.level(); err != nil || level != slog.LevelWarn {
		t.Errorf("the level is %v, %v", level, err)
	}
}

// One error lists everything that is wrong.
func TestLoadReportsAll(t *testing.T) {
	_, err := loadFrom(map[string]string{"SLUICE_LOG_LEVEL": "loud", "SLUICE_SEEK_MARGIN": "often", "SLUICE_LANES": "0"})
	if err == nil {
		t.Fatal("an empty environment is accepted")
	}
	wanted := []string{`SLUICE_LOG_LEVEL is "loud"; it must be debug, info, warn or error`, "SLUICE_SEEK_MARGIN", "SLUICE_LANES is 0"}
	for name := range deployed() {
		wanted = append(wanted, name+" is not set; template.yaml sets it")
	}
	for _, want := range wanted {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("%q is not once in:\n%v", want, err)
		}
	}
	for name := range deployed() {
		env := deployed()
		delete(env, name)
		if _, err := loadFrom(env); err == nil || err.Error() != name+" is not set; template.yaml sets it" {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestLoadRefusesNoMargin(t *testing.T) {
	for _, margin := range []string{"0s", "-1s"} {
		env := deployed()
		env["SLUICE_SEEK_MARGIN"] = margin
		if _, err := loadFrom(env); err == nil || err.Error() != "SLUICE_SEEK_MARGIN is "+margin+"; it must be more than 0" {
			t.Errorf("%s: %v", margin, err)
		}
	}
}

func TestMisspeltVariables(t *testing.T) {
	c := defaultConfig()
	environ := []string{"SLUICE_TABEL=table", "PATH=/bin", "SLUICE_MAX_REJECTED=1", "SLUICE_lanes=2"}
	for name := range deployed() {
		environ = append(environ, name+"=x")
	}
	if diff := cmp.Diff([]string{"SLUICE_TABEL", "SLUICE_lanes"}, settings.UnknownEnv(c.Rows(), environ)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The Runtime API is blocked although its address is allowed.
func TestGuardKeepsTheRuntimeAPI(t *testing.T) {
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
	for _, private := range []bool{false, true} {
		c := defaultConfig()
		c.AllowPrivateTargets = private
		guard, err := newGuard(&c)
		if err != nil {
			t.Fatal(err)
		}
		for address, allowed := range map[string]bool{
			"127.0.0.1:9001": false, "127.0.0.1:9002": private, "127.0.0.2:9001": false, "10.0.0.8:9001": private, "93.184.216.34:443": true,
		} {
			err := guard.Control(t.Context(), "tcp4", address, nil)
			if allowed != (err == nil) {
				t.Errorf("%s, private targets allowed %v: got %v", address, private, err)
			}
			if refused := (*netguard.AddressError)(nil); err != nil && !errors.As(err, &refused) {
				t.Errorf("%s: got %v, want an AddressError", address, err)
			}
		}
		if err := guard.Control(t.Context(), "tcp6", "[::ffff:127.0.0.1]:9001", nil); err == nil {
			t.Error("the Runtime API is reached by its mapped address")
		}
	}
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "runtime")
	c := defaultConfig()
	if _, err := newGuard(&c); err == nil || !strings.Contains(err.Error(), `AWS_LAMBDA_RUNTIME_API is "runtime"`) {
		t.Errorf("an invalid address: %v", err)
	}
}

// template.yaml and deployments use these names. The shared settings of package
// settings follow them.
func TestNamesOfTheFunctionsSettings(t *testing.T) {
	want := []string{
		"SLUICE_TABLE=", "SLUICE_SEGMENTS_TABLE=", "SLUICE_STREAM=", "SLUICE_BUCKET=", "SLUICE_KEY=", "SLUICE_STATE_MACHINE=", "SLUICE_QUEUE=", "SLUICE_STAGE=",
		"SLUICE_SEEK_MARGIN=15m", "SLUICE_LOG_LEVEL=info",
	}
	c := defaultConfig()
	var got []string
	for _, row := range c.Rows()[:len(c.Rows())-len(c.Settings.Table())] {
		got = append(got, row.Env()+"="+row.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A parameter of the template that has a default changes nothing about the settings.
func TestDefaultsOfParametersAreThoseOfSettings(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	variables := regexp.MustCompile(`(?m)^        (SLUICE_\w+): !Ref (\w+)$`).FindAllStringSubmatch(string(text), -1)
	env, found := deployed(), 0
	for _, v := range variables {
		parameter := regexp.MustCompile(`(?m)^  ` + v[2] + `:\n    Type: \w+\n    Default: '?([^'\n]*)`).FindStringSubmatch(string(text))
		if parameter != nil && env[v[1]] == "" {
			env[v[1]] = parameter[1]
			found++
		}
	}
	delete(env, "SLUICE_STAGE") // it has no default of its own
	if found < 10 {
		t.Fatalf("only %d variables have parameters with defaults", found)
	}
	got, err := loadFrom(env)
	if err != nil {
		t.Fatal(err)
	}
	want, err := loadFrom(deployed())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Settings, got.Settings); diff != "" || want.SeekMargin != got.SeekMargin {
		t.Errorf("margins %v and %v; settings (-code +template):\n%s", want.SeekMargin, got.SeekMargin, diff)
	}
}
