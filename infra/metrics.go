package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/cloudformationinclude"
	"github.com/aws/jsii-runtime-go"
)

// statistic is a CloudWatch statistic.
type statistic string

const (
	sum     statistic = "Sum"
	maximum statistic = "Maximum"
	p50     statistic = "p50"
	p99     statistic = "p99"
)

// metrics builds the metrics of the template's resources, which it refers to by
// logical ID. The period is five minutes.
type metrics struct {
	inc   cloudformationinclude.CfnInclude
	stage string
}

func metricsOf(inc cloudformationinclude.CfnInclude, stage string) metrics {
	return metrics{inc: inc, stage: stage}
}

// sluice returns a metric that the functions write to their logs (internal/emf).
func (m metrics) sluice(name string, s statistic) awscloudwatch.Metric {
	return metric("Sluice", name, s, "Stage", &m.stage)
}

func (m metrics) function(id, name string, s statistic) awscloudwatch.Metric {
	return metric("AWS/Lambda", name, s, "FunctionName", m.ref(id))
}

func (m metrics) httpAPI(name string, s statistic) awscloudwatch.Metric {
	return metric("AWS/ApiGateway", name, s, "ApiId", m.ref("HttpApi"))
}

func (m metrics) table(id, name string) awscloudwatch.Metric {
	return metric("AWS/DynamoDB", name, sum, "TableName", m.ref(id))
}

func (m metrics) stream(name string) awscloudwatch.Metric {
	return metric("AWS/Kinesis", name, sum, "StreamName", m.ref("Stream"))
}

func (m metrics) executions(name string) awscloudwatch.Metric {
	return metric("AWS/States", name, sum, "StateMachineArn", m.ref("Delivery"))
}

func (m metrics) queued(id string) awscloudwatch.Metric {
	queue := m.inc.GetResource(jsii.String(id)).GetAtt(jsii.String("QueueName"), "").ToString()
	return metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", maximum, "QueueName", queue)
}

func (m metrics) ref(id string) *string { return m.inc.GetResource(jsii.String(id)).Ref() }

func metric(namespace, name string, s statistic, dimension string, value *string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace:     jsii.String(namespace),
		MetricName:    jsii.String(name),
		Statistic:     jsii.String(string(s)),
		DimensionsMap: &map[string]*string{dimension: value},
		Period:        awscdk.Duration_Minutes(jsii.Number(5)),
	})
}
