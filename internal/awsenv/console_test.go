package awsenv

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// allowed returns the pattern of a parameter of the template, for the whole of its value.
func allowed(t *testing.T, parameter string) string {
	t.Helper()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Parameters map[string]struct {
			AllowedPattern string `yaml:"AllowedPattern"`
		} `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	pattern := template.Parameters[parameter].AllowedPattern
	if pattern == "" {
		t.Fatalf("template.yaml has no pattern for %s", parameter)
	}
	return "^(?:" + pattern + ")$"
}

// Functions do not start with an invalid setting. So what the template takes, they take.
func TestWhatTheTemplateTakesForTheConsoleIsValid(t *testing.T) {
	for parameter, variable := range map[string]string{
		"ConsoleOrigins": "SLUICE_CONSOLE_ORIGINS", "ConsoleLogo": "SLUICE_CONSOLE_LOGO", "ConsoleAccent": "SLUICE_CONSOLE_ACCENT",
	} {
		values := rapid.StringMatching(allowed(t, parameter)).Filter(func(s string) bool { return len(s) <= 1024 })
		rapid.Check(t, func(t *rapid.T) {
			env := deployed()
			env[variable] = values.Draw(t, parameter)
			if _, err := loadFrom(env); err != nil {
				t.Errorf("%s: %v", parameter, err)
			}
		})
	}
}

func TestParametersOfTheConsole(t *testing.T) {
	for parameter, values := range map[string]struct{ good, bad []string }{
		"ConsoleOrigins": {
			[]string{"", "https://app.example.com", "https://a.example.com:8443 https://b", "https://a.example.com,http://localhost:3000"},
			[]string{"*", "https://*.example.com", "http://app.example.com", "https://a/", "https://a;script-src *", "https://a\nb", "https://ahttps://b", "https://a:65536", "https://a:0"},
		},
		"ConsoleLogo": {
			[]string{"", "/", "/logo.svg", "https://cdn.example.com/a%20b/logo.svg?v=1", "https://cdn.example.com:8443"},
			[]string{"//evil.example.com/l", `/\evil`, "logo.svg", "http://cdn.example.com/l", "javascript:alert(1)", "https://me@cdn.example.com/l", `/"x`, "/a\nb", "/a b"},
		},
		"ConsoleName":   {[]string{"Sluice", "S", "Büro & Söhne", strings.Repeat("ö", 64)}, []string{"", " a", "a ", "a\nb", "a\x7f", strings.Repeat("a", 65)}},
		"ConsoleAccent": {[]string{"", "#0B5fff"}, []string{"red", "#0bf", "#0b5fff;", "#0b5fff\n"}},
	} {
		pattern := regexp.MustCompile(allowed(t, parameter))
		for _, value := range values.good {
			if !pattern.MatchString(value) {
				t.Errorf("%s cannot be %q", parameter, value)
			}
		}
		for _, value := range values.bad {
			if pattern.MatchString(value) {
				t.Errorf("%s can be %q", parameter, value)
			}
		}
	}
}
