package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	Name:          "test",
	Parameters:    map[string]string{"Issuer": "https://issuer.example/", "Audience": "sluice", "RetentionDays": "7", "LogRetentionDays": "90"},
	AlarmTopicARN: "arn:aws:sns:eu-west-1:111122223333:alarms",
}

// CDK changes only code locations and parameter defaults in the template, and
// adds only alarms, a dashboard and its own bookkeeping.
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
		if !slices.Contains([]string{"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}, kind) {
			t.Errorf("CDK adds %s", kind)
		}
	}
	for _, section := range []string{"Transform", "Description", "Globals", "Mappings", "Conditions", "Outputs"} {
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

// Every alarm with its metric. An alarm on a misspelt metric would never fire.
func TestAlarms(t *testing.T) {
	const ok = "notBreaching"
	want := map[string]string{
		"iterator-age":      "AWS/Lambda IteratorAge FunctionName=Fanout Maximum 60s >= 60000, 5 of 5, " + ok,
		"oldest-lag":        "Sluice OldestLagSeconds Stage=test Maximum 300s >= 86400, 3 of 3, " + ok,
		"overdue-cursors":   "Sluice OverdueCursors Stage=test Maximum 300s >= 1, 3 of 3, " + ok,
		"malformed-records": "Sluice MalformedRecords Stage=test Sum 300s >= 1, 1 of 1, " + ok,
		"events-skipped":    "Sluice EventsSkipped Stage=test Sum 300s >= 1, 1 of 1, " + ok,
		"dead-letters":      "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=DeadLetterQueue.QueueName Maximum 300s >= 1, 1 of 1, " + ok,
		"sweep-failures":    "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=SweepFailures.QueueName Maximum 300s >= 1, 1 of 1, " + ok,
		"sweep-missing":     "AWS/Lambda Invocations FunctionName=Sweep Sum 300s < 1, 3 of 3, breaching",
		"http-5xx":          "AWS/ApiGateway 5xx ApiId=HttpApi Sum 300s >= 5, 1 of 1, " + ok,
		"table-throttles": "FILL(m1,0)+FILL(m2,0): AWS/DynamoDB ReadThrottleEvents TableName=Table Sum 300s + " +
			"AWS/DynamoDB WriteThrottleEvents TableName=Table Sum 300s >= 10, 2 of 3, " + ok,
		"stream-throttles": "AWS/Kinesis WriteProvisionedThroughputExceeded StreamName=Stream Sum 300s >= 10, 2 of 3, " + ok,
		"executions-failed": "FILL(m1,0)+FILL(m2,0): AWS/States ExecutionsFailed StateMachineArn=Delivery Sum 300s + " +
			"AWS/States ExecutionsTimedOut StateMachineArn=Delivery Sum 300s >= 1, 1 of 1, " + ok,
	}
	for _, id := range []string{"Api", "Fanout", "Advance", "Sweep"} {
		want[strings.ToLower(id)+"-errors"] = "AWS/Lambda Errors FunctionName=" + id + " Sum 300s >= 1, 2 of 3, " + ok
		want[strings.ToLower(id)+"-throttles"] = "AWS/Lambda Throttles FunctionName=" + id + " Sum 300s >= 1, 2 of 3, " + ok
	}
	got := map[string]string{}
	topic := []any{testStage.AlarmTopicARN}
	for _, p := range ofType(synth(t, testStage), "AWS::CloudWatch::Alarm") {
		id := strings.TrimPrefix(p["AlarmName"].(string), "sluice-test-")
		got[id] = describe(p)
		if diff := cmp.Diff([]any{topic, topic}, []any{p["AlarmActions"], p["OKActions"]}); diff != "" {
			t.Errorf("actions of %s (-want +got):\n%s", id, diff)
		}
		if means, _ := p["AlarmDescription"].(string); len(means) < 30 {
			t.Errorf("the description of %s is too short: %q", id, means)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without a topic the alarms still exist, without actions.
func TestAlarmsWithoutATopic(t *testing.T) {
	s := testStage
	s.AlarmTopicARN = ""
	alarms := ofType(synth(t, s), "AWS::CloudWatch::Alarm")
	if len(alarms) == 0 {
		t.Error("there are no alarms")
	}
	for id, p := range alarms {
		if p["AlarmActions"] != nil {
			t.Errorf("%s has actions: %v", id, p["AlarmActions"])
		}
	}
}

// describe formats an alarm on one line.
func describe(p object) string {
	text := ""
	if p["Metrics"] == nil {
		text = describeMetric(p, p["Statistic"], p["Period"])
	} else {
		var parts []string
		for _, m := range p["Metrics"].([]any) {
			if expression, ok := at(m, "Expression").(string); ok {
				text = expression + ": "
				continue
			}
			stat := at(m, "MetricStat")
			parts = append(parts, describeMetric(at(stat, "Metric").(object), at(stat, "Stat"), at(stat, "Period")))
		}
		text += strings.Join(parts, " + ")
	}
	comparison := map[any]string{"GreaterThanOrEqualToThreshold": ">=", "LessThanThreshold": "<"}[p["ComparisonOperator"]]
	return text + " " + comparison + " " + number(p["Threshold"]) + ", " +
		number(p["DatapointsToAlarm"]) + " of " + number(p["EvaluationPeriods"]) + ", " + p["TreatMissingData"].(string)
}

func describeMetric(m object, statistic, period any) string {
	var dimensions []string
	for _, d := range m["Dimensions"].([]any) {
		dimensions = append(dimensions, at(d, "Name").(string)+"="+strings.Join(listOf(at(d, "Value")), ","))
	}
	return strings.Join([]string{
		m["Namespace"].(string), m["MetricName"].(string), strings.Join(dimensions, " "),
		statistic.(string), number(period) + "s",
	}, " ")
}

func number(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}
