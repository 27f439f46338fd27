package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// alarmsOf returns the properties of the alarms, by their names without the stack's.
func alarmsOf(t *testing.T) map[string]object {
	t.Helper()
	all := map[string]object{}
	for id, p := range ofType(readTemplate(t), "AWS::CloudWatch::Alarm") {
		name, ok := strings.CutPrefix(at(p, "AlarmName", "Fn::Sub").(string), "${AWS::StackName}-")
		if words := strings.ToLower(strings.TrimSuffix(id, "Alarm")); !ok || words != strings.ReplaceAll(name, "-", "") {
			t.Errorf("%s has the name %s", id, name)
		}
		all[name] = p
	}
	return all
}

// Every alarm with its metrics. One on a misspelt metric would never ring.
func TestAlarms(t *testing.T) {
	const ok = "notBreaching"
	want := map[string]string{
		"stream-unread": "IF(FILL(incoming, 0) > 0 AND FILL(invocations, 0) == 0, 1, 0) of AWS/Kinesis IncomingRecords StreamName=Stream Sum 300s, " +
			"AWS/Lambda Invocations FunctionName=Fanout Sum 300s >= 1, 3 of 36, " + ok,
		"stream-behind": "AWS/Lambda IteratorAge FunctionName=Fanout Maximum 300s >= 10800000, 1 of 1, " + ok,
		"functions-failing": "FILL(batches, 0) + FILL(fanout, 0) + FILL(advance, 0) + FILL(sweep, 0) of Sluice BatchesFailed Stage=Stage Sum 300s, " +
			"AWS/Lambda Errors FunctionName=Fanout Sum 300s, AWS/Lambda Errors FunctionName=Advance Sum 300s, AWS/Lambda Errors FunctionName=Sweep Sum 300s >= 1, 3 of 3, " + ok,
		"batches-given-up": "FILL(given, 0) + FILL(lost, 0) of Sluice BatchesGivenUp Stage=Stage Maximum 300s, " +
			"AWS/Lambda DestinationDeliveryFailures FunctionName=Fanout Sum 300s >= 1, 1 of 3, " + ok,
		"data-unreadable": "FILL(records, 0) + FILL(events, 0) of Sluice MalformedRecords Stage=Stage Sum 300s, Sluice EventsSkipped Stage=Stage Sum 300s >= 1, 1 of 1, " + ok,
		"api-failing": "FILL(responses, 0) + FILL(crashes, 0) + FILL(throttles, 0) of Sluice ServerErrors Stage=Stage Sum 300s, " +
			"AWS/Lambda Errors FunctionName=Api Sum 300s, AWS/Lambda Throttles FunctionName=Api Sum 300s >= 5, 2 of 3, " + ok,
		"api-canary": "FILL(responses, 0) + IF(FILL(crashes, 0) > 0, 5, 0) of Sluice ServerErrors Stage=Stage Sum 60s, " +
			"AWS/Lambda Errors FunctionName=Api Resource=${Api}:live ExecutedVersion=ApiVersion.Version Sum 60s >= 5, 1 of 1, " + ok,
		"cursors-overdue": "Sluice OverdueSeconds Stage=Stage Maximum 300s >= 900, 3 of 3, breaching",
	}
	got := map[string]string{}
	for name, p := range alarmsOf(t) {
		got[name] = describe(p)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What reads the stream late, or not at all, also raises its retention; and only the alarms
// of which that is true may invoke the function.
func TestAlarmActions(t *testing.T) {
	nobody := object{"Ref": "AWS::NoValue"}
	topic, keep := object{"Ref": "AlarmTopicArn"}, object{"Fn::GetAtt": "KeepStream.Arn"}
	for name, p := range alarmsOf(t) {
		want := []any{"Paged", []any{topic}, nobody}
		if strings.HasPrefix(name, "stream-") {
			want = []any{"Paged", []any{keep, topic}, []any{keep}}
		}
		if diff := cmp.Diff(any(object{"Fn::If": want}), p["AlarmActions"]); diff != "" {
			t.Errorf("actions of %s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(any(object{"Fn::If": []any{"Paged", []any{topic}, nobody}}), p["OKActions"]); diff != "" {
			t.Errorf("actions of %s, once it is over (-want +got):\n%s", name, diff)
		}
	}
	template := readTemplate(t)
	want := map[string]object{"KeepStreamPermission": {
		"FunctionName": keep, "Action": "lambda:InvokeFunction", "Principal": "lambda.alarms.cloudwatch.amazonaws.com",
		"SourceAccount": object{"Ref": "AWS::AccountId"},
		"SourceArn":     object{"Fn::Sub": "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:${AWS::StackName}-stream-*"},
	}}
	got := ofType(template, "AWS::Lambda::Permission")
	maps.DeleteFunc(got, func(_ string, p object) bool { return !cmp.Equal(p["FunctionName"], any(keep)) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who may invoke keepstream (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(any(object{"Fn::Not": []any{object{"Fn::Equals": []any{topic, ""}}}}), at(template, "Conditions", "Paged")); diff != "" {
		t.Errorf("when there is a topic (-want +got):\n%s", diff)
	}
	if got := at(template, "Parameters", "AlarmTopicArn", "Default"); got != "" {
		t.Errorf("the default topic is %v", got)
	}
}

// The person who is paged finds a page for each alarm, and no page is left over.
func TestEveryAlarmHasItsPage(t *testing.T) {
	text := read(t, "../docs/operations.md")
	_, chapter, _ := strings.Cut(text, "\n## Alarms\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var pages []string
	for _, m := range regexp.MustCompile("(?m)^### `?([a-z]+-[a-z-]+)`?$").FindAllStringSubmatch(chapter, -1) {
		pages = append(pages, m[1])
	}
	alarms := alarmsOf(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(alarms)), slices.Sorted(slices.Values(pages))); diff != "" {
		t.Errorf("alarms and their pages (-template +page):\n%s", diff)
	}
	for name, p := range alarms {
		if !strings.Contains(p["AlarmDescription"].(string), fmt.Sprintf("See %q in docs/operations.md.", name)) {
			t.Errorf("the description of %s does not name its page: %s", name, p["AlarmDescription"])
		}
		if !strings.Contains(chapter, "| [`"+name+"`](#"+name+") |") {
			t.Errorf("the table of alarms does not have %s", name)
		}
	}
}

// describe formats an alarm on one line.
func describe(p object) string {
	text := ""
	if p["Metrics"] == nil {
		text = describeMetric(p, p["Statistic"], p["Period"])
	} else {
		var of []string
		for _, m := range p["Metrics"].([]any) {
			if expression, ok := at(m, "Expression").(string); ok {
				text = expression + " of "
				continue
			}
			stat := at(m, "MetricStat")
			of = append(of, describeMetric(at(stat, "Metric").(object), at(stat, "Stat"), at(stat, "Period")))
		}
		text += strings.Join(of, ", ")
	}
	comparison := map[any]string{"GreaterThanOrEqualToThreshold": ">="}[p["ComparisonOperator"]]
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

// number formats a number without an exponent.
func number(value any) string {
	if f, ok := value.(float64); ok && f == float64(int64(f)) {
		return fmt.Sprint(int64(f))
	}
	text, _ := json.Marshal(value)
	return string(text)
}
