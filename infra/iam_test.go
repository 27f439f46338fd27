package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	records  = "dynamodb:BatchGetItem DeleteItem GetItem PutItem Query: Table.Arn"
	reading  = "dynamodb:GetItem Query: Segments.Arn" // of the log
	starting = "states:StartExecution: arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-delivery"
	sending  = "sqs:SendMessage: Steps.Arn"
	// The data keys of secrets, and secrets of an earlier release.
	dataKeys   = "Key.Arn if Null kms:ViaService=true if StringEquals kms:EncryptionContext:sluice=secrets"
	oldSecrets = "Key.Arn if ForAnyValue:StringEquals kms:EncryptionContextKeys=tenant if Null kms:ViaService=true"
)

// The exact permissions of every role. Change them here too to widen a role.
var permissions = map[string][]string{
	"ApiRole": {
		"logs:CreateLogStream PutLogEvents: ${ApiLogs.Arn}",
		"dynamodb:BatchGetItem DeleteItem GetItem PutItem Query UpdateItem: Table.Arn", reading, "kinesis:PutRecords: Stream.Arn", starting, sending,
		"s3:GetObject: ${Bucket.Arn}/log/*", "s3:ListBucket: Bucket.Arn",
		"kms:Decrypt GenerateDataKey: " + dataKeys, "kms:Decrypt: " + oldSecrets,
		"kms:Decrypt: " + via("dynamodb", "s3"), "kms:GenerateDataKey: " + via("kinesis"),
	},
	"FanoutRole": {
		"logs:CreateLogStream PutLogEvents: ${FanoutLogs.Arn}",
		"kinesis:DescribeStream DescribeStreamSummary GetRecords GetShardIterator ListShards: Stream.Arn", "kinesis:PutRecords: Stream.Arn",
		records, "dynamodb:GetItem PutItem Query: Segments.Arn", starting, sending,
		"s3:GetObject PutObject: ${Bucket.Arn}/log/*", "s3:ListBucket: Bucket.Arn", "s3:PutObject: ${Bucket.Arn}/malformed/*",
		"s3:PutObject: ${Bucket.Arn}/aws/lambda/* if StringEquals s3:ResourceAccount=AWS::AccountId",
		"kms:Decrypt: " + dataKeys, "kms:Decrypt: " + oldSecrets,
		"kms:Decrypt: " + via("dynamodb", "kinesis", "s3"), "kms:GenerateDataKey: " + via("kinesis", "s3"),
	},
	"AdvanceRole": {
		"logs:CreateLogStream PutLogEvents: ${AdvanceLogs.Arn}",
		records, reading, "kinesis:PutRecords: Stream.Arn", starting, "sqs:DeleteMessage GetQueueAttributes ReceiveMessage SendMessage: Steps.Arn",
		"s3:GetObject: ${Bucket.Arn}/log/*", "s3:ListBucket: Bucket.Arn",
		"kms:Decrypt: " + dataKeys, "kms:Decrypt: " + oldSecrets,
		"kms:Decrypt: " + via("dynamodb", "s3"), "kms:GenerateDataKey: " + via("kinesis"),
	},
	"SweepRole": {
		"logs:CreateLogStream PutLogEvents: ${SweepLogs.Arn}",
		"dynamodb:BatchGetItem BatchWriteItem DeleteItem GetItem PutItem Query UpdateItem: Table.Arn",
		"dynamodb:Query: ${Table.Arn}/index/" + "timetable", reading, starting, sending,
		"s3:ListBucket: Bucket.Arn", "sqs:SendMessage: SweepFailures.Arn",
		"kms:Decrypt: " + via("dynamodb", "sqs"), "kms:GenerateDataKey: " + via("sqs"),
	},
	"KeepStreamRole": {
		"logs:CreateLogStream PutLogEvents: ${KeepStreamLogs.Arn}",
		"kinesis:DescribeStreamSummary IncreaseStreamRetentionPeriod: Stream.Arn",
	},
	"SweepScheduleRole": {
		"lambda:InvokeFunction: Sweep.Arn", "sqs:SendMessage: SweepFailures.Arn",
		"kms:Decrypt: " + via("sqs"), "kms:GenerateDataKey: " + via("sqs"),
	},
	"EventBusRole": {
		"kinesis:PutRecord PutRecords: Stream.Arn", "kms:GenerateDataKey: " + via("kinesis"),
	},
	"ApiCanaryRole": {
		"lambda:GetAlias GetProvisionedConcurrencyConfig UpdateAlias: Api.Arn,${Api.Arn}:*", "cloudwatch:DescribeAlarms: *",
	},
	"DeliveryRole": {
		"lambda:InvokeFunction: Advance.Arn", starting,
		"logs:CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies GetLogDelivery ListLogDeliveries PutResourcePolicy UpdateLogDelivery: *",
	},
}

func via(services ...string) string {
	for i, s := range services {
		services[i] = s + ".${AWS::Region}.amazonaws.com"
	}
	return "Key.Arn if StringEquals kms:ViaService=" + strings.Join(services, ",")
}

func TestPermissions(t *testing.T) {
	got := map[string][]string{}
	for id, p := range ofType(readTemplate(t), "AWS::IAM::Role") {
		if p["ManagedPolicyArns"] != nil {
			t.Errorf("%s has managed policies; list its permissions in the template instead", id)
		}
		for _, policy := range p["Policies"].([]any) {
			for _, s := range at(policy, "PolicyDocument", "Statement").([]any) {
				got[id] = append(got[id], statement(t, s.(object)))
			}
		}
		slices.Sort(got[id])
	}
	for id := range permissions {
		slices.Sort(permissions[id])
	}
	if diff := cmp.Diff(permissions, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What only some deployments need is a policy of its own.
func TestPermissionsOfSomeDeployments(t *testing.T) {
	want := map[string][]string{ // the condition, the roles, the permissions
		"AlertsPolicy":   {"Alerts", "SweepRole", "kinesis:PutRecords: Stream.Arn", "kms:GenerateDataKey: " + via("kinesis")},
		"TroublesPolicy": {"Alerts", "ApiRole", "dynamodb:Query: ${Table.Arn}/index/" + "timetable"},
		"TracesPolicy": {
			"Traced", "ApiRole FanoutRole AdvanceRole SweepRole KeepStreamRole DeliveryRole",
			"xray:GetSamplingRules GetSamplingTargets PutTelemetryRecords PutTraceSegments: *",
		},
	}
	template, got := readTemplate(t), map[string][]string{}
	for id, p := range ofType(template, "AWS::IAM::Policy") {
		condition, _ := at(template, "Resources", id, "Condition").(string)
		got[id] = []string{condition, strings.Join(listOf(p["Roles"]), " ")}
		for _, s := range at(p, "PolicyDocument", "Statement").([]any) {
			got[id] = append(got[id], statement(t, s.(object)))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// statement formats a statement as "service:Action Action: resource if condition".
func statement(t *testing.T, s object) string {
	t.Helper()
	if s["Effect"] != "Allow" {
		t.Errorf("statement %v does not allow", s["Sid"])
	}
	var service string
	var actions []string
	for _, a := range listOf(s["Action"]) {
		if strings.Contains(a, "*") {
			t.Errorf("statement %v allows %s", s["Sid"], a)
		}
		prefix, action, _ := strings.Cut(a, ":")
		if service != "" && service != prefix {
			t.Errorf("statement %v covers several services", s["Sid"])
		}
		service = prefix
		actions = append(actions, action)
	}
	slices.Sort(actions)
	text := service + ":" + strings.Join(actions, " ") + ": " + strings.Join(listOf(s["Resource"]), ",")
	conditions, _ := s["Condition"].(object)
	var all []string
	for operator, keys := range conditions {
		for key, value := range keys.(object) {
			all = append(all, " if "+operator+" "+key+"="+strings.Join(listOf(value), ","))
		}
	}
	slices.Sort(all)
	return text + strings.Join(all, "")
}

// listOf returns a string or a list of strings as a list, with each intrinsic
// function replaced by its argument.
func listOf(value any) []string {
	switch v := value.(type) {
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, listOf(one)...)
		}
		return all
	case object:
		for _, argument := range v {
			return []string{fmt.Sprint(argument)}
		}
	}
	return []string{fmt.Sprint(value)}
}

// Every function and the state machine names its role, so SAM creates none.
func TestRoles(t *testing.T) {
	template := readTemplate(t)
	used := map[string]string{}
	for _, kind := range []string{"AWS::Serverless::Function", "AWS::Serverless::StateMachine"} {
		for id, p := range ofType(template, kind) {
			used[id] = strings.Join(listOf(p["Role"]), ",")
			if p["Policies"] != nil {
				t.Errorf("%s has Policies, which SAM ignores when Role is set", id)
			}
		}
	}
	want := map[string]string{
		"Api": "ApiRole.Arn", "Fanout": "FanoutRole.Arn", "Advance": "AdvanceRole.Arn", "Sweep": "SweepRole.Arn",
		"KeepStream": "KeepStreamRole.Arn", "Delivery": "DeliveryRole.Arn",
	}
	if diff := cmp.Diff(want, used); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	trusts := map[string]string{}
	for id, p := range ofType(template, "AWS::IAM::Role") {
		for _, s := range at(p, "AssumeRolePolicyDocument", "Statement").([]any) {
			trusts[id] += strings.Join(listOf(at(s, "Principal", "Service")), ",")
		}
	}
	wantTrusts := map[string]string{
		"ApiRole": "lambda.amazonaws.com", "FanoutRole": "lambda.amazonaws.com", "AdvanceRole": "lambda.amazonaws.com",
		"SweepRole": "lambda.amazonaws.com", "SweepScheduleRole": "scheduler.amazonaws.com", "DeliveryRole": "states.amazonaws.com",
		"KeepStreamRole": "lambda.amazonaws.com", "EventBusRole": "events.amazonaws.com", "ApiCanaryRole": "codedeploy.amazonaws.com",
	}
	if diff := cmp.Diff(wantTrusts, trusts); diff != "" {
		t.Errorf("services that may assume the roles (-want +got):\n%s", diff)
	}
}

// Of the resource policies, that of the key grants something to the account's
// administrators and to CloudWatch Logs, and that of the queue for failures of the event
// bus to its rule. The others only deny.
func TestResourcePolicies(t *testing.T) {
	template := readTemplate(t)
	for _, s := range at(template, "Resources", "Key", "Properties", "KeyPolicy", "Statement").([]any) {
		switch sid := at(s, "Sid"); sid {
		case "Account":
			if got := listOf(at(s, "Principal", "AWS")); !slices.Equal(got, []string{"arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}) {
				t.Errorf("the key trusts %v", got)
			}
		case "Logs":
			statement(t, s.(object))
			if at(s, "Condition", "ArnLike", "kms:EncryptionContext:aws:logs:arn") == nil {
				t.Error("every log group of the account may use the key")
			}
		default:
			t.Errorf("the key's policy has an unknown statement %v", sid)
		}
	}
	refusing := 0
	for _, kind := range []string{"AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"} {
		for id, p := range ofType(template, kind) {
			for _, s := range at(p, "PolicyDocument", "Statement").([]any) {
				if id == "EventBusFailuresPolicy" && at(s, "Sid") == "Rule" {
					continue // TestEventBus
				}
				refusing++
				if at(s, "Effect") != "Deny" || at(s, "Condition", "Bool", "aws:SecureTransport") != "false" {
					t.Errorf("%s does more than deny requests without TLS: %v", id, s)
				}
			}
		}
	}
	if refusing != 5 {
		t.Errorf("%d statements deny requests without TLS; want one for the bucket and one for each queue", refusing)
	}
}
