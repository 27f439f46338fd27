package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"
)

// TestMain turns off the CDK validator, which takes ten seconds per stack;
// `make synth` runs it.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"CDK_VALIDATION": "false", "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// synth returns the template that CDK would deploy for the stage. The functions
// need not be built.
func synth(t *testing.T, s stage) object {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CDK needs Node.js, and node is not in PATH")
		}
		t.Skip("CDK needs Node.js, and node is not in PATH")
	}
	root, out := t.TempDir(), t.TempDir()
	for _, file := range []string{"template.yaml", "statemachine/delivery.asl.json"} {
		content, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, file), content)
	}
	for _, p := range ofType(readTemplate(t), "AWS::Serverless::Function") {
		write(t, filepath.Join(root, p["CodeUri"].(string), "bootstrap"), []byte(p["CodeUri"].(string)))
	}
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(out), AnalyticsReporting: jsii.Bool(false)})
	name := *newStack(app, root, s).StackName()
	app.Synth(nil)
	content, err := os.ReadFile(filepath.Join(out, name+".template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template object
	if err := json.Unmarshal(content, &template); err != nil {
		t.Fatal(err)
	}
	return normal(t, template).(object)
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
}

var testStage = stage{
	Name: "test",
	Parameters: map[string]string{
		"Issuer": "https://issuer.example/", "Audience": "sluice", "RetentionDays": "7", "LogRetentionDays": "90",
		"ApiRelease": "v1.2.3-1", "DomainName": "events.example.com", "CertificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/1",
	},
}

// CDK changes only code locations and parameter defaults in the template, and
// adds only a dashboard and its own bookkeeping.
func TestCDKKeepsTheTemplate(t *testing.T) {
	want, got := readTemplate(t), synth(t, testStage)
	places(t, want, func(place any) bool { _, isPath := place.(string); return isPath })
	places(t, got, func(place any) bool { return at(place, "Bucket") != nil && at(place, "Key") != nil })

	added := map[string]int{}
	for id, r := range got["Resources"].(object) {
		original := at(want, "Resources", id)
		if original == nil {
			added[at(r, "Type").(string)]++
			continue
		}
		if diff := cmp.Diff(original, r); diff != "" {
			t.Errorf("%s (-template +CDK):\n%s", id, diff)
		}
	}
	for id := range want["Resources"].(object) {
		if at(got, "Resources", id) == nil {
			t.Errorf("CDK lost %s", id)
		}
	}
	for kind := range added {
		if kind != "AWS::CloudWatch::Dashboard" {
			t.Errorf("CDK adds %s", kind)
		}
	}
	delete(got["Rules"].(object), "CheckBootstrapVersion")
	for _, section := range []string{"Transform", "Description", "Globals", "Mappings", "Rules", "Conditions", "Outputs"} {
		if diff := cmp.Diff(want[section], got[section]); diff != "" {
			t.Errorf("%s (-template +CDK):\n%s", section, diff)
		}
	}
	compareParameters(t, want["Parameters"].(object), got["Parameters"].(object))
}

// places checks the locations of code and definition, and removes them.
func places(t *testing.T, template object, isRight func(any) bool) {
	t.Helper()
	for kind, property := range map[string]string{"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::StateMachine": "DefinitionUri"} {
		for id, p := range ofType(template, kind) {
			if !isRight(p[property]) {
				t.Errorf("%s of %s is %v", property, id, p[property])
			}
			delete(p, property)
		}
	}
}

func compareParameters(t *testing.T, want, got object) {
	t.Helper()
	values := map[string]any{"Stage": testStage.Name}
	for name, value := range testStage.Parameters {
		values[name] = value
	}
	values["LogRetentionDays"] = 90.0 // AllowedValues are numbers
	delete(got, "BootstrapVersion")
	for name, value := range values {
		if got := at(got, name, "Default"); got != value {
			t.Errorf("the default of %s is %v, want the stage's, %v", name, got, value)
		}
		delete(want[name].(object), "Default")
		delete(got[name].(object), "Default")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parameters (-template +CDK):\n%s", diff)
	}
}
