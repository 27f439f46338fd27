package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What costs by the call, and is there for debugging, is off unless a parameter says so.
func TestTracesAreOffByDefault(t *testing.T) {
	template := readTemplate(t)
	if got := at(template, "Parameters", "Traces", "Default"); got != "false" {
		t.Errorf("the default of Traces is %v", got)
	}
	for what, c := range map[string]struct{ want, got any }{
		"functions": {
			object{"Fn::If": []any{"Traced", "Active", "PassThrough"}}, at(template, "Globals", "Function", "Tracing"),
		},
		"state machine": {
			object{"Enabled": object{"Fn::If": []any{"Traced", true, false}}}, at(template, "Resources", "Delivery", "Properties", "Tracing"),
		},
		"condition": {
			object{"Fn::Equals": []any{object{"Ref": "Traces"}, "true"}}, at(template, "Conditions", "Traced"),
		},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// Lambda's lines of each invocation are left out. Our own lines are chosen by the log level of
// the functions alone, and metrics are among them.
func TestFunctionLogs(t *testing.T) {
	template := readTemplate(t)
	want := object{"LogFormat": "JSON", "ApplicationLogLevel": "TRACE", "SystemLogLevel": "WARN"}
	if diff := cmp.Diff(any(want), at(template, "Globals", "Function", "LoggingConfig")); diff != "" {
		t.Errorf("of all functions (-want +got):\n%s", diff)
	}
	for id, p := range ofType(template, "AWS::Serverless::Function") {
		if diff := cmp.Diff(any(object{"LogGroup": object{"Ref": id + "Logs"}}), p["LoggingConfig"]); diff != "" {
			t.Errorf("of %s (-want +got):\n%s", id, diff)
		}
	}
}
