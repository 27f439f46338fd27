package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func env(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
}

func flags(names ...string) func(string) bool {
	return func(name string) bool { return strings.Contains(","+strings.Join(names, ",")+",", ","+name+",") }
}

func TestLoadFile(t *testing.T) {
	got, extra := Default(), ""
	rows := append(got.Table(), Text("extra", "a row of another package", &extra))
	if err := LoadFile(rows, "testdata/good.yaml"); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.MaxIntegrations, want.Retention, want.S3FileBytes = 25, 48*time.Hour, 64<<20
	want.MaxEventBytes, want.MaxPublishBytes = 1024, 1<<20
	want.TenantClaim, want.RevealSecrets = "https://example.com/tenant", true
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if extra != "127.0.0.1:8080" {
		t.Errorf("extra = %q", extra)
	}
	if err := LoadFile(rows, "testdata/empty.yaml"); err != nil {
		t.Errorf("a file of comments: %v", err)
	}
}

// One bad file per rule. Every file below testdata/bad must be listed here.
func TestLoadFileRefuses(t *testing.T) {
	wants := map[string][]string{ // file: one text per problem
		"unknown_key":             {":2: max_integration: is not a setting"},
		"unknown_key_with_secret": {":1: aws_secret_access_key: is not a setting"},
		"key_spelt_as_flag":       {":1: max-integrations: is not a setting; in a config file it is spelled max_integrations"},
		"key_spelt_as_variable":   {":1: SLUICE_LANES: is not a setting; in a config file it is spelled lanes"},
		"duplicate_key":           {":4: lanes: is set twice, also in line 1; remove one"},
		"count_is_text":           {`:1: lanes: "two" is a YAML str, but the setting is of type count; write it as digits`},
		"count_in_quotes":         {`:1: lanes: "2" is a YAML str, but the setting is of type count; write it as digits, without quotes`},
		"count_is_float":          {`:1: lanes: "2.5" is a YAML float, but the setting is of type count`},
		"count_in_hex":            {`:1: lanes: "0x10" is not an integer`},
		"duration_without_unit":   {`:1: retention: "300" is not a duration; write it like 300s, 5m or 72h`},
		"duration_in_words":       {`:1: retention: "5 days" is not a duration`},
		"size_unit":               {`:1: s3_file_bytes: "50MB" is not a size; write a number of bytes, or use a unit as in 256KiB or 50MiB`},
		"size_negative":           {`:1: s3_file_bytes: "-1" is not a size`},
		"size_too_large":          {`:1: s3_file_bytes: "9000000000GiB" is not a size`},
		"bool_in_quotes":          {`:1: reveal_secrets: "yes" is a YAML str, but the setting is of type bool; write true or false`},
		"bool_is_number":          {`:1: reveal_secrets: "1" is a YAML int, but the setting is of type bool`},
		"text_is_number":          {`:1: tenant_claim: "5" is a YAML int, but the setting is of type text; put it in quotes`},
		"no_value":                {":1: lanes: has no value; set one of type count, or remove the key"},
		"value_is_list":           {":1: lanes: must be a single value of type count"},
		"value_is_map":            {":1: retention: must be a single value of type duration"},
		"value_is_alias":          {":2: in_flight: must be a single value of type count"},
		"key_is_list":             {":1: a key must be the name of a setting"},
		"root_is_list":            {":1: must be lines of the form key: value"},
		"root_is_text":            {":1: must be lines of the form key: value"},
		"two_documents":           {": must be a single YAML document"},
		"tab":                     {": is not YAML: yaml: line 2"},
		"open_quote":              {": is not YAML: yaml: line"},
		"not_utf8":                {": is not YAML: yaml"},
		"utf_16":                  {": is in UTF-16 or UTF-32; save it as UTF-8"},
		"several": {
			`:1: max_integrations: "many"`, `:2: retention: "long"`,
			":3: bogus: is not a setting", `:4: reveal_secrets: "maybe"`,
		},
	}
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) != len(wants) {
		t.Fatalf("%d bad files, %d expectations (%v)", len(files), len(wants), err)
	}
	for _, file := range files {
		want := wants[strings.TrimSuffix(filepath.Base(file), ".yaml")]
		s := Default()
		err := LoadFile(s.Table(), file)
		if err == nil || len(want) == 0 {
			t.Errorf("%s: error %v, expected %q", file, err, want)
			continue
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(want) {
			t.Errorf("%s: %d problems, want %d:\n%v", file, lines, len(want), err)
		}
		for _, problem := range want {
			if !strings.Contains(err.Error(), file+problem) {
				t.Errorf("%s: %q lacks %q", file, err, file+problem)
			}
		}
		if source, ok := errors.AsType[*SourceError](err); !ok || source.File != file {
			t.Errorf("%s: not a SourceError of that file: %#v", file, err)
		}
		if strings.Contains(err.Error(), "AKID") {
			t.Errorf("%s: shows the value of an unknown key: %v", file, err)
		}
	}
}

func TestLoadFileUnreadable(t *testing.T) {
	s, dir := Default(), t.TempDir()
	missing := filepath.Join(dir, "none.yaml")
	if err := LoadFile(s.Table(), missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing: %v", err)
	}
	if err := LoadFile(s.Table(), dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte(strings.Repeat("#\n", maxFileBytes/2+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := LoadFile(s.Table(), big); err == nil || !strings.Contains(err.Error(), "exceeds the limit of") {
		t.Errorf("a large file: %v", err)
	}
}

func TestFilesThatSetNothing(t *testing.T) {
	largest := strings.Repeat("#\n", maxFileBytes/2)
	for name, content := range map[string]string{"empty": "", "null": "null\n", "tilde": "~\n", "document without a value": "---\n", "comments of the largest size": largest} {
		path := filepath.Join(t.TempDir(), "sluice.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got := Default()
		if err := LoadFile(got.Table(), path); err != nil || got != Default() {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}

func TestLoadEnv(t *testing.T) {
	got := Default()
	if err := LoadEnv(got.Table(), env(map[string]string{
		"SLUICE_MAX_REJECTED": "7", "SLUICE_RETRY_MAX": "90s", "SLUICE_ALLOW_PRIVATE_TARGETS": "true", "MAX_REJECTED": "8",
	})); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.MaxRejected, want.RetryMax, want.AllowPrivateTargets = 7, 90*time.Second, true
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := LoadEnv(got.Table(), env(map[string]string{"SLUICE_LANES": "", "SLUICE_RETRY_MIN": "soon", "SLUICE_REVEAL_SECRETS": "maybe"}))
	const wantErr = `SLUICE_RETRY_MIN: "soon" is not a duration; write it like 300s, 5m or 72h
SLUICE_LANES: "" is not an integer
SLUICE_REVEAL_SECRETS: "maybe" is neither true nor false`
	if err == nil || err.Error() != wantErr {
		t.Errorf("err = %v\nwant %s", err, wantErr)
	}
}

// The strongest source wins for each setting by itself.
func TestLoadOrder(t *testing.T) {
	for _, c := range []struct {
		flag, env, file, want int
	}{
		{0, 0, 0, 10},
		{0, 0, 3, 3},
		{0, 2, 0, 2},
		{1, 0, 0, 1},
		{0, 2, 3, 2},
		{1, 0, 3, 1},
		{1, 2, 0, 1},
		{1, 2, 3, 1},
		{10, 2, 3, 10},
	} {
		s, variables, path, given := Default(), map[string]string{"SLUICE_LANES": "4"}, "", []string{"x"}
		if c.flag != 0 {
			s.MaxIntegrations, given = c.flag, []string{"max-integrations"} // as a flag parser would
		}
		if c.env != 0 {
			variables["SLUICE_MAX_INTEGRATIONS"] = fmt.Sprint(c.env)
		}
		if c.file != 0 {
			path = filepath.Join(t.TempDir(), "sluice.yaml")
			content := fmt.Sprintf("max_integrations: %d\nin_flight: 5\n", c.file)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(s.Table(), path, env(variables), flags(given...)); err != nil {
			t.Fatal(err)
		}
		if s.MaxIntegrations != c.want || s.Lanes != 4 || (s.InFlight == 5) != (c.file != 0) {
			t.Errorf("%+v: max integrations %d, lanes %d, in flight %d", c, s.MaxIntegrations, s.Lanes, s.InFlight)
		}
	}
}

func TestLoadReportsEverySource(t *testing.T) {
	s := Default()
	_, err := Load(s.Table(), "testdata/bad/several.yaml", env(map[string]string{"SLUICE_LANES": "x"}), flags("max-integrations"))
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("want the four of the file and one of the environment, under flags too:\n%v", err)
	}
}

func TestUnknownEnv(t *testing.T) {
	s := Default()
	got := UnknownEnv(s.Table(), []string{
		"SLUICE_LANE=2", "SLUICE_LANES=2", "SLUICE_URL=http://x", "SLUICE_TOKEN=secret", "HOME=/", "sluice_lanes=2",
		"SLUICE_ADR=x", "SLUICE_=", "SLUICE_LANE=3", "XSLUICE_A=1", "SLUICE_EMPTY",
	})
	want := []string{"SLUICE_", "SLUICE_ADR", "SLUICE_EMPTY", "SLUICE_LANE"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzLoadYAML(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, file := range append(files, "testdata/good.yaml") {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s := Default()
		if _, err := loadYAML(s.Table(), "f.yaml", content); err != nil && !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Errorf("an error that does not name the file: %v", err)
		}
	})
}
