package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// object is a JSON object.
type object = map[string]any

// readTemplate reads ../template.yaml as JSON values, with CloudFormation's
// short tags expanded.
func readTemplate(t *testing.T) object {
	t.Helper()
	content, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	return normal(t, valueOf(t, document.Content[0])).(object)
}

// valueOf converts a node to a value: !Ref X to {"Ref": X}, !Sub X to
// {"Fn::Sub": X}, and so on.
func valueOf(t *testing.T, n *yaml.Node) any {
	t.Helper()
	var value any
	switch n.Kind {
	case yaml.MappingNode:
		m := object{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = valueOf(t, n.Content[i+1])
		}
		value = m
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, valueOf(t, c))
		}
		value = list
	default:
		value = n.Value
		if strings.HasPrefix(n.Tag, "!!") {
			if err := n.Decode(&value); err != nil {
				t.Fatalf("line %d: %v", n.Line, err)
			}
		}
	}
	switch {
	case strings.HasPrefix(n.Tag, "!!") || n.Tag == "":
		return value
	case n.Tag == "!Ref" || n.Tag == "!Condition":
		return object{n.Tag[1:]: value}
	default:
		return object{"Fn::" + n.Tag[1:]: value}
	}
}

// normal makes values comparable: numbers as in JSON, and Fn::GetAtt always as
// "A.B".
func normal(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return oneGetAtt(out)
}

func oneGetAtt(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = oneGetAtt(v[i])
		}
	case object:
		for k := range v {
			v[k] = oneGetAtt(v[k])
		}
		if parts, ok := v["Fn::GetAtt"].([]any); ok {
			v["Fn::GetAtt"] = parts[0].(string) + "." + parts[1].(string)
		}
	}
	return value
}

// at returns the value at the path, or nil.
func at(value any, path ...string) any {
	for _, key := range path {
		m, ok := value.(object)
		if !ok {
			return nil
		}
		value = m[key]
	}
	return value
}

// ofType returns the properties of all resources of a type, by logical ID.
func ofType(template object, kind string) map[string]object {
	found := map[string]object{}
	for id, r := range template["Resources"].(object) {
		if r.(object)["Type"] == kind {
			found[id], _ = at(r, "Properties").(object)
		}
	}
	return found
}

// functions/ and the template have the same functions, and each is built to the
// path that the template names.
func TestFunctions(t *testing.T) {
	entries, err := os.ReadDir("../functions")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range entries {
		if e.IsDir() {
			want = append(want, "build/"+e.Name()+"/")
		}
	}
	var got []string
	for id, p := range ofType(readTemplate(t), "AWS::Serverless::Function") {
		uri, _ := p["CodeUri"].(string)
		got = append(got, uri)
		if filepath.Base(uri) != strings.ToLower(id) {
			t.Errorf("function %s has the code of %s", id, uri)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions/ and template.yaml differ (-functions +template):\n%s", diff)
	}
}

// No published event is lost between the stream and fanout.
func TestEventSource(t *testing.T) {
	got := at(readTemplate(t), "Resources", "Fanout", "Properties", "Events", "Stream")
	want := object{"Type": "Kinesis", "Properties": object{
		"Stream":                         object{"Fn::GetAtt": "Stream.Arn"},
		"StartingPosition":               "TRIM_HORIZON",
		"BatchSize":                      100.0,
		"MaximumBatchingWindowInSeconds": 0.0,
		"ParallelizationFactor":          object{"Ref": "ParallelizationFactor"},
		"FunctionResponseTypes":          []any{"ReportBatchItemFailures"},
		"BisectBatchOnFunctionError":     true,
		"MaximumRetryAttempts":           -1.0,
		"MaximumRecordAgeInSeconds":      object{"Ref": "GiveUpAfterSeconds"},
		"DestinationConfig": object{"OnFailure": object{
			"Type": "S3", "Destination": object{"Fn::GetAtt": "Bucket.Arn"},
		}},
	}}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A message comes again only when its step can no longer run, and one at a time, so that a step
// has all of the function's time. What ends the function each time goes to a second queue.
func TestSteps(t *testing.T) {
	template := readTemplate(t)
	want := object{"Type": "SQS", "Properties": object{
		"Queue": object{"Fn::GetAtt": "Steps.Arn"}, "BatchSize": 1.0,
		"ScalingConfig": object{"MaximumConcurrency": object{"Ref": "StepsAtOnce"}},
	}}
	if diff := cmp.Diff(any(want), at(template, "Resources", "Advance", "Properties", "Events", "Steps")); diff != "" {
		t.Errorf("mapping (-want +got):\n%s", diff)
	}
	queue := at(template, "Resources", "Steps", "Properties").(object)
	if hidden, timeout := queue["VisibilityTimeout"].(float64), at(template, "Resources", "Advance", "Properties", "Timeout").(float64); hidden <= timeout {
		t.Errorf("a message comes again after %v s, while its step may take %v s", hidden, timeout)
	}
	redrive := object{"deadLetterTargetArn": object{"Fn::GetAtt": "StepFailures.Arn"}, "maxReceiveCount": 5.0}
	if diff := cmp.Diff(any(redrive), queue["RedrivePolicy"]); diff != "" {
		t.Errorf("what fails (-want +got):\n%s", diff)
	}
	for _, id := range []string{"Steps", "StepFailures"} {
		if at(template, "Resources", id, "Properties", "SqsManagedSseEnabled") != true {
			t.Errorf("%s is not encrypted", id)
		}
	}
}

// Every resource that holds customer data is encrypted, and all but the transient
// ones are retained when the stack is deleted. A first deployment that fails leaves no key,
// which costs $1 a month, and no bucket. The tables are protected, so their deletion would fail.
// That of the log is in no backup, which would cost nearly as much as it does (ADR 33).
func TestDataIsKept(t *testing.T) {
	resources := readTemplate(t)["Resources"].(object)
	policies := map[string]string{"Table": "Retain", "Segments": "Retain", "Bucket": "RetainExceptOnCreate", "Key": "RetainExceptOnCreate"}
	for id, want := range policies {
		if got := at(resources, id, "DeletionPolicy"); got != want {
			t.Errorf("DeletionPolicy of %s is %v, want %s", id, got, want)
		}
		if got := at(resources, id, "UpdateReplacePolicy"); got != "Retain" {
			t.Errorf("UpdateReplacePolicy of %s is %v", id, got)
		}
	}
	for id, r := range resources {
		if policy, _ := at(r, "DeletionPolicy").(string); strings.HasPrefix(policy, "Retain") && policies[id] == "" {
			t.Errorf("%s is retained; docs/operations.md says what is", id)
		}
	}
	key := object{"Fn::GetAtt": "Key.Arn"}
	for path, want := range map[string]any{
		"Table/DeletionProtectionEnabled":                                   true,
		"Table/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled": true,
		"Table/TimeToLiveSpecification/AttributeName":                       "expires",
		"Table/SSESpecification/KMSMasterKeyId":                             key,
		"Segments/DeletionProtectionEnabled":                                true,
		"Segments/PointInTimeRecoverySpecification":                         nil,
		"Segments/TimeToLiveSpecification/AttributeName":                    "expires",
		"Segments/SSESpecification/KMSMasterKeyId":                          key,
		"Stream/StreamEncryption/KeyId":                                     key,
		"Stream/RetentionPeriodHours":                                       object{"Ref": "StreamRetentionHours"},
		"SweepFailures/KmsMasterKeyId":                                      key,
		"Key/EnableKeyRotation":                                             true,
	} {
		id, rest, _ := strings.Cut(path, "/")
		got := at(resources, append([]string{id, "Properties"}, strings.Split(rest, "/")...)...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	logs := ofType(object{"Resources": resources}, "AWS::Logs::LogGroup")
	for id, p := range logs {
		if diff := cmp.Diff(any(object{"Ref": "LogRetentionDays"}), p["RetentionInDays"]); diff != "" {
			t.Errorf("RetentionInDays of %s (-want +got):\n%s", id, diff)
		}
	}
	if len(logs) != 7 {
		t.Errorf("log groups: %v; want one for each function, the API and the state machine", slices.Sorted(maps.Keys(logs)))
	}
}

// A batch is given up long before the stream loses what waits behind it, and after the alarm
// that says so. What was given up is kept for weeks.
func TestBatchesAreGivenUpInTime(t *testing.T) {
	template := readTemplate(t)
	hours := func(parameter string, each float64) float64 {
		return at(template, "Parameters", parameter, "Default").(float64) / each
	}
	retention, giveUp := hours("StreamRetentionHours", 1), hours("GiveUpAfterSeconds", 3600)
	behind := alarmsOf(t)["stream-behind"]["Threshold"].(float64) / 3_600_000
	if retention != 24 || giveUp != 6 || behind != 3 {
		t.Errorf("the alarm rings at %v h, a batch is given up at %v h, the stream keeps %v h", behind, giveUp, retention)
	}
	rules := at(template, "Resources", "Bucket", "Properties", "LifecycleConfiguration", "Rules").([]any)
	kept := map[any]any{}
	for _, r := range rules {
		kept[at(r, "Prefix")] = at(r, "ExpirationInDays")
	}
	if kept["aws/lambda/"] != 30.0 {
		t.Errorf("batches that were given up are kept for %v days", kept["aws/lambda/"])
	}
}
