package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
)

// alarm fires when the metric was at or above the threshold in some of the last
// periods. docs/operations.md says what to do about it.
type alarm struct {
	id          string // the alarm's name without the prefix "<stack>-"
	means       string
	metric      awscloudwatch.IMetric
	threshold   float64
	some, of    float64                          // periods
	comparison  awscloudwatch.ComparisonOperator // "" for at or above
	missingBad  bool                             // missing data counts as breaching
	minutesEach float64                          // period in minutes; 0 for 5
}

// alarmsOf returns the alarms that do not belong to a single function. A single
// failure that a retry or the next sweep repairs raises no alarm.
func alarmsOf(m metrics) []alarm {
	return []alarm{
		{
			id: "iterator-age", means: "Events have waited in the stream for over a minute: fanout is failing, throttled or too slow.",
			metric: m.function("Fanout", "IteratorAge", maximum), threshold: 60_000, some: 5, of: 5, minutesEach: 1,
		},
		{
			id: "oldest-lag", means: "An integration is more than a day behind: its receiver is failing, or its deliveries are too slow.",
			metric: m.sluice("OldestLagSeconds", maximum), threshold: 86_400, some: 3, of: 3,
		},
		{
			id: "overdue-cursors", means: "Three sweeps in a row found overdue cursors.",
			metric: m.sluice("OverdueCursors", maximum), threshold: 1, some: 3, of: 3,
		},
		{
			id: "malformed-records", means: "The stream held unreadable records; they are quarantined in the bucket under malformed/.",
			metric: m.sluice("MalformedRecords", sum), threshold: 1, some: 1, of: 1,
		},
		{
			id: "events-skipped", means: "Integrations passed events whose stored bytes can never be read.",
			metric: m.sluice("EventsSkipped", sum), threshold: 1, some: 1, of: 1,
		},
		{
			id: "dead-letters", means: "Fanout gave up on a batch; its records stay in the stream for 6 more days. Redrive it.",
			metric: m.queued("DeadLetterQueue"), threshold: 1, some: 1, of: 1,
		},
		{
			id: "sweep-failures", means: "Sweeps failed or could not start.",
			metric: m.queued("SweepFailures"), threshold: 1, some: 1, of: 1,
		},
		{
			id: "sweep-missing", means: "No sweep has run for 15 minutes: cursors left behind by a crash are not being advanced.",
			metric: m.function("Sweep", "Invocations", sum), threshold: 1, some: 3, of: 3,
			comparison: awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD, missingBad: true,
		},
		{
			id: "http-5xx", means: "The API returns server errors.",
			metric: m.httpAPI("5xx", sum), threshold: 5, some: 1, of: 1,
		},
		{
			id: "table-throttles", means: "DynamoDB is throttling requests: a key is too hot, or traffic has grown faster than the table.",
			metric:    total("throttled requests", m.table("ReadThrottleEvents"), m.table("WriteThrottleEvents")),
			threshold: 10, some: 2, of: 3,
		},
		{
			id: "stream-throttles", means: "Kinesis is throttling writes: the stream has too few shards.",
			metric: m.stream("WriteProvisionedThroughputExceeded"), threshold: 10, some: 2, of: 3,
		},
		{
			id: "executions-failed", means: "Executions of the state machine failed or timed out; the sweep starts them again.",
			metric:    total("failed executions", m.executions("ExecutionsFailed"), m.executions("ExecutionsTimedOut")),
			threshold: 1, some: 1, of: 1,
		},
	}
}

// alarmsOfFunction returns the alarms of one function.
func alarmsOfFunction(m metrics, id string) []alarm {
	name := strings.ToLower(id)
	return []alarm{
		{
			id: name + "-errors", means: "The function " + name + " fails repeatedly; its log says why.",
			metric: m.function(id, "Errors", sum), threshold: 1, some: 2, of: 3,
		},
		{
			id: name + "-throttles", means: "The function " + name + " or the account has reached its concurrency limit.",
			metric: m.function(id, "Throttles", sum), threshold: 1, some: 2, of: 3,
		},
	}
}

// addAlarms adds every alarm. Alarms notify the stage's topic, if it has one.
func addAlarms(st awscdk.Stack, s stage, m metrics, functions map[string]awssam.CfnFunction) {
	alarms := alarmsOf(m)
	for _, id := range slices.Sorted(maps.Keys(functions)) {
		alarms = append(alarms, alarmsOfFunction(m, id)...)
	}
	var action awscloudwatch.IAlarmAction
	if s.AlarmTopicARN != "" {
		topic := awssns.Topic_FromTopicArn(st, jsii.String("AlarmTopic"), jsii.String(s.AlarmTopicARN))
		action = awscloudwatchactions.NewSnsAction(topic)
	}
	for _, a := range alarms {
		added := a.add(st)
		if action != nil {
			added.AddAlarmAction(action)
			added.AddOkAction(action)
		}
	}
}

func (a alarm) add(st awscdk.Stack) awscloudwatch.Alarm {
	props := awscloudwatch.AlarmProps{
		AlarmName:          jsii.String(*st.StackName() + "-" + a.id),
		AlarmDescription:   jsii.String(a.means + " See docs/operations.md."),
		Metric:             a.metric,
		Threshold:          jsii.Number(a.threshold),
		DatapointsToAlarm:  jsii.Number(a.some),
		EvaluationPeriods:  jsii.Number(a.of),
		ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
	}
	if a.comparison != "" {
		props.ComparisonOperator = a.comparison
	}
	if a.missingBad {
		props.TreatMissingData = awscloudwatch.TreatMissingData_BREACHING
	}
	if m, ok := a.metric.(awscloudwatch.Metric); ok && a.minutesEach != 0 {
		props.Metric = m.With(&awscloudwatch.MetricOptions{Period: awscdk.Duration_Minutes(jsii.Number(a.minutesEach))})
	}
	return awscloudwatch.NewAlarm(st, jsii.String("Alarm-"+a.id), &props)
}
