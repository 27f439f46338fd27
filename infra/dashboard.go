package main

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssam"
	"github.com/aws/jsii-runtime-go"
)

// addDashboard adds a dashboard named after the stack: first what customers see,
// then the services behind it.
func addDashboard(st awscdk.Stack, m metrics, functions map[string]awssam.CfnFunction) {
	each := func(name string, s statistic) []awscloudwatch.IMetric {
		var all []awscloudwatch.IMetric
		for _, id := range slices.Sorted(maps.Keys(functions)) {
			all = append(all, m.function(id, name, s).With(&awscloudwatch.MetricOptions{Label: jsii.String(id)}))
		}
		return all
	}
	units := func(table string) []awscloudwatch.IMetric {
		var all []awscloudwatch.IMetric
		for _, name := range []string{"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"} {
			all = append(all, m.table(table, name))
		}
		return all
	}
	board := awscloudwatch.NewDashboard(st, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName:   st.StackName(),
		DefaultInterval: awscdk.Duration_Hours(jsii.Number(3)),
	})
	board.AddWidgets(
		graph("Events", m.sluice("EventsPublished", sum), m.sluice("EventsDelivered", sum),
			m.sluice("EventsRetried", sum), m.sluice("EventsRejected", sum), m.sluice("EventsInterrupted", sum)),
		graph("Oldest lag of failing integrations, s", m.sluice("OldestLagSeconds", maximum)),
		graph("Age of the stream's oldest record, ms", m.function("Fanout", "IteratorAge", maximum)),
	)
	board.AddWidgets(
		graph("API calls", m.httpAPI("Count", sum), m.httpAPI("4xx", sum), m.httpAPI("5xx", sum), m.sluice("ServerErrors", sum)),
		graph("API latency, ms", m.httpAPI("Latency", p50), m.httpAPI("Latency", p99)),
		graph("Failed, overdue and unreadable", m.sluice("BatchesFailed", sum), m.sluice("BatchesGivenUp", maximum), m.sluice("OverdueSeconds", maximum),
			m.sluice("MalformedRecords", sum), m.sluice("EventsSkipped", sum), m.queued("SweepFailures"), m.queued("StepFailures")),
	)
	board.AddWidgets(
		graph("Duration p99, ms", each("Duration", p99)...),
		graph("Concurrency", each("ConcurrentExecutions", maximum)...),
		graph("Errors and throttles", append(each("Errors", sum), each("Throttles", sum)...)...),
	)
	board.AddWidgets(
		graph("Units of the tables", append(units("Table"), units("Segments")...)...),
		graph("Stream", m.stream("IncomingRecords"), m.stream("IncomingBytes"), m.stream("WriteProvisionedThroughputExceeded")),
		graph("Waiting messages, executions", m.queued("Steps"), m.executions("ExecutionsStarted"), m.executions("ExecutionsSucceeded"),
			m.executions("ExecutionsFailed"), m.executions("ExecutionsTimedOut"), m.executions("ExecutionThrottled")),
	)
}

func graph(title string, of ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title: jsii.String(title), Left: &of, Width: jsii.Number(8), Height: jsii.Number(6),
	})
}
