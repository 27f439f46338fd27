package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// environment is the variables that functions need or that the template sets.
var environment = []string{
	"SLUICE_ALERT_URL", "SLUICE_ALLOW_PRIVATE_TARGETS", "SLUICE_BUCKET", "SLUICE_CONSOLE", "SLUICE_CONSOLE_ACCENT", "SLUICE_CONSOLE_LOGO", "SLUICE_CONSOLE_NAME", "SLUICE_CONSOLE_ORIGINS", "SLUICE_DELIVERY_RETENTION", "SLUICE_EGRESS_PROXY", "SLUICE_FOLLOW_BUDGET", "SLUICE_KEY", "SLUICE_LANES", "SLUICE_MAX_PUBLISH_BYTES",
	"SLUICE_OPERATOR_TENANT", "SLUICE_QUEUE", "SLUICE_RETENTION", "SLUICE_RETRY_MAX", "SLUICE_RETRY_MIN", "SLUICE_S3_FILE_BYTES", "SLUICE_S3_FILE_INTERVAL", "SLUICE_SEEK_MARGIN", "SLUICE_SEGMENTS_TABLE",
	"SLUICE_STAGE", "SLUICE_STATE_MACHINE", "SLUICE_STREAM", "SLUICE_TABLE", "SLUICE_TENANT_CLAIM", "SLUICE_WEBHOOK_TIMEOUT",
}

// The functions get the variables they need, and the code knows each of them: it
// only warns about unknown ones. The code is in internal packages of another
// module, so the test parses it instead of calling it.
func TestEnvironment(t *testing.T) {
	template := readTemplate(t)
	variables := at(template, "Globals", "Function", "Environment", "Variables").(object)
	got := slices.Sorted(maps.Keys(variables))
	if diff := cmp.Diff(environment, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for id, p := range ofType(template, "AWS::Serverless::Function") {
		if p["Environment"] != nil {
			t.Errorf("%s sets its own variables: %v", id, p["Environment"])
		}
	}
	known := map[string]bool{}
	for _, file := range []string{"../internal/settings/settings.go", "../internal/awsenv/config.go"} {
		for _, name := range firstStrings(t, file, "Count", "Duration", "Period", "Size", "Text", "Bool") {
			known["SLUICE_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = true
		}
	}
	if len(known) < 20 {
		t.Fatalf("found only %v in the code; fix how this test parses it", known)
	}
	for _, name := range got {
		if !known[name] {
			t.Errorf("the code has no setting %s", name)
		}
	}
}

// firstStrings returns the first argument of every call to one of the functions,
// of any package, where it is a string literal.
func firstStrings(t *testing.T, file string, functions ...string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if literal, ok := call.Args[0].(*ast.BasicLit); ok && slices.Contains(functions, name) {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, text)
		}
		return true
	})
	return found
}

// metricsWritten returns the names of the metrics that the functions write.
func metricsWritten(t *testing.T) map[string]bool {
	t.Helper()
	written := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^\tmetric\w+\s+= "(\w+)"$`).FindAllStringSubmatch(read(t, "../internal/awsenv/metrics.go"), -1) {
		written[match[1]] = true
	}
	if len(written) < 10 {
		t.Fatal("found too few metrics in the code; fix how this test parses it")
	}
	return written
}

// The dashboard and the alarms use only metrics that the functions write, with the one
// dimension that all of them have. test/aws/golden has the functions write them.
func TestMetricNames(t *testing.T) {
	written, used := metricsWritten(t), map[string]bool{}
	for _, name := range firstStrings(t, "dashboard.go", "sluice") {
		used[name] = true
	}
	alarmed := 0
	for name, p := range alarmsOf(t) {
		for _, m := range seriesOf(p) {
			if m.namespace != "Sluice" {
				continue
			}
			alarmed++
			used[m.name] = true
			if m.dimensions != "Stage=Stage" {
				t.Errorf("%s reads %s with the dimensions %s", name, m.name, m.dimensions)
			}
		}
	}
	for name := range used {
		if !written[name] {
			t.Errorf("the metric %s is used, and no function writes it", name)
		}
	}
	if len(used) < 10 || alarmed < 6 {
		t.Errorf("found only %d metrics in use, %d of them by alarms; fix how this test parses the code", len(used), alarmed)
	}
	for _, line := range []string{`Namespace = "Sluice"`, `DimensionStage       = "Stage"`} {
		if !strings.Contains(read(t, "../internal/emf/emf.go"), line) {
			t.Errorf("the functions write their metrics otherwise: internal/emf lacks %s", line)
		}
	}
}

// SAM and CDK deploy a stage under the same name with the same parameters.
func TestStagesAgree(t *testing.T) {
	context, err := contextOf("cdk.json")
	if err != nil {
		t.Fatal(err)
	}
	stages, err := stagesOf(context["stages"])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{}
	for _, s := range stages {
		want["sluice-"+s.Name] = map[string]string{"Stage": s.Name}
		maps.Copy(want["sluice-"+s.Name], s.Parameters)
	}
	got := map[string]map[string]string{}
	sections := regexp.MustCompile(`(?m)^\[(\w+)\.deploy\.parameters\]$`).Split(read(t, "../samconfig.toml"), -1)
	for _, section := range sections[1:] {
		stack := regexp.MustCompile(`stack_name = "(.*)"`).FindStringSubmatch(section)[1]
		got[stack] = map[string]string{}
		_, overrides, _ := strings.Cut(section, "parameter_overrides = [")
		for _, p := range regexp.MustCompile(`"(\w+)=(.*)"`).FindAllStringSubmatch(overrides, -1) {
			got[stack][p[1]] = p[2]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-cdk.json +samconfig.toml):\n%s", diff)
	}
	parameters := readTemplate(t)["Parameters"].(object)
	for stack, values := range got {
		for name, value := range values {
			if parameters[name] == nil {
				t.Errorf("%s: the template has no parameter %s", stack, name)
			}
			if allowed, ok := at(parameters, name, "AllowedValues").([]any); ok && !slices.Contains(listOf(allowed), value) {
				t.Errorf("%s: %s=%s is not one of %v", stack, name, value, allowed)
			}
		}
		for name, p := range parameters {
			if at(p, "Default") == nil && values[name] == "" {
				t.Errorf("%s: %s has no value", stack, name)
			}
		}
	}
}

// The template's default retention is that of the API contract.
func TestRetention(t *testing.T) {
	template := readTemplate(t)
	days := at(template, "Parameters", "RetentionDays", "Default").(string)
	if got := at(template, "Mappings", "Retention", days, "Duration"); days != "30" || got != "720h" {
		t.Errorf("the default retention is %s days, %v", days, got)
	}
	allowed := listOf(at(template, "Parameters", "RetentionDays", "AllowedValues"))
	mapped := at(template, "Mappings", "Retention").(object)
	if len(allowed) != len(mapped) {
		t.Errorf("%d retentions are allowed, %d are mapped", len(allowed), len(mapped))
	}
	for _, days := range allowed {
		n, err := strconv.Atoi(days)
		if err != nil {
			t.Fatal(err)
		}
		want := object{"Duration": strconv.Itoa(24*n) + "h", "ObjectDays": float64(n + 4)}
		if diff := cmp.Diff(any(want), mapped[days]); diff != "" {
			t.Errorf("%s days (-want +got):\n%s", days, diff)
		}
	}
}

func TestStagesOf(t *testing.T) {
	for text, want := range map[string]string{
		`null`:                                 `has no "stages"`,
		`{"dev":{"parameter":{}}}`:             `unknown field "parameter"`,
		`{"dev":{"parameters":{"A":1}}}`:       "number",
		`{"dev":{"parameters":{"Stage":"x"}}}`: "leave it out",
	} {
		var context any
		if err := json.Unmarshal([]byte(text), &context); err != nil {
			t.Fatal(err)
		}
		if _, err := stagesOf(context); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %s", text, err, want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
