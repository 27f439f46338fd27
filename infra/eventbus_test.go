package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Without a bus, the deployment has nothing of it. With one, only the bus's own rule may
// write to the queue.
func TestEventBus(t *testing.T) {
	template := readTemplate(t)
	if got := at(template, "Parameters", "EventBusName", "Default"); got != "" {
		t.Errorf("the default bus is %v", got)
	}
	n := 0
	for id, r := range template["Resources"].(object) {
		if !strings.HasPrefix(id, "EventBus") {
			continue
		}
		n++
		if got := at(r, "Condition"); got != "EventBus" {
			t.Errorf("%s is there on the condition %v", id, got)
		}
	}
	if n != 4 {
		t.Errorf("%d resources; want the rule, its role, its queue and the queue's policy", n)
	}
	rule := at(template, "Resources", "EventBusRule", "Properties")
	if diff := cmp.Diff(any(object{"Ref": "EventBusName"}), at(rule, "EventBusName")); diff != "" {
		t.Errorf("the rule's bus (-want +got):\n%s", diff)
	}
	target := at(rule, "Targets").([]any)[0]
	for path, want := range map[string]string{"Arn": "Stream.Arn", "RoleArn": "EventBusRole.Arn", "DeadLetterConfig/Arn": "EventBusFailures.Arn"} {
		if diff := cmp.Diff(any(object{"Fn::GetAtt": want}), at(target, strings.Split(path, "/")...)); diff != "" {
			t.Errorf("%s of the target (-want +got):\n%s", path, diff)
		}
	}
	for _, s := range at(template, "Resources", "EventBusFailuresPolicy", "Properties", "PolicyDocument", "Statement").([]any) {
		if at(s, "Effect") != "Allow" {
			continue
		}
		want := "sqs:SendMessage: EventBusFailures.Arn if ArnEquals aws:SourceArn=EventBusRule.Arn"
		if got := statement(t, s.(object)); got != want {
			t.Errorf("the queue allows %s", got)
		}
	}
}
