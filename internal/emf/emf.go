// Package emf writes metrics as log lines in Amazon CloudWatch's embedded metric format,
// from which CloudWatch extracts the metrics without an API call:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Namespace is the namespace of every metric.
const Namespace = "Sluice"

// The dimensions: every metric has Stage, and those of one integration are there a second
// time with all three.
const (
	DimensionStage       = "Stage"
	DimensionTenant      = "Tenant"
	DimensionIntegration = "Integration"
)

// Unit is a CloudWatch unit.
type Unit string

// The units.
const (
	Count   Unit = "Count"
	Seconds Unit = "Seconds"
)

// Metric is one value of a metric.
type Metric struct {
	Name  string
	Unit  Unit
	Value float64 // in Unit
}

// Writer writes metrics to a log. Its methods are safe for concurrent use.
type Writer struct {
	Out   io.Writer // a Lambda function's standard output
	Stage string
	Now   func() time.Time

	mu sync.Mutex
}

type (
	definition struct {
		Name string `json:"Name"`
		Unit Unit   `json:"Unit"`
	}
	directive struct {
		Namespace  string       `json:"Namespace"`
		Dimensions [][]string   `json:"Dimensions"`
		Metrics    []definition `json:"Metrics"`
	}
	metadata struct {
		Timestamp int64       `json:"Timestamp"` // ms since 1970
		Metrics   []directive `json:"CloudWatchMetrics"`
	}
)

// Put writes one line with the metrics, whose names must differ. It writes nothing if
// there are none, or if a value is not a finite number.
func (w *Writer) Put(metrics ...Metric) {
	w.put(map[string]any{DimensionStage: w.Stage}, [][]string{{DimensionStage}}, metrics)
}

// PutOf writes metrics of one integration: of the stage, as Put does, and of the integration
// by itself. CloudWatch charges for each integration and hour in which there are any.
func (w *Writer) PutOf(tenant, integration string, metrics ...Metric) {
	line := map[string]any{DimensionStage: w.Stage, DimensionTenant: tenant, DimensionIntegration: integration}
	w.put(line, [][]string{{DimensionStage}, {DimensionStage, DimensionTenant, DimensionIntegration}}, metrics)
}

func (w *Writer) put(line map[string]any, dimensions [][]string, metrics []Metric) {
	if len(metrics) == 0 {
		return
	}
	d := directive{Namespace: Namespace, Dimensions: dimensions}
	for _, m := range metrics {
		d.Metrics = append(d.Metrics, definition{m.Name, m.Unit})
		line[m.Name] = m.Value
	}
	line["_aws"] = metadata{Timestamp: w.Now().UnixMilli(), Metrics: []directive{d}}
	text, err := json.Marshal(line)
	if err != nil {
		return // a NaN or infinite value; not worth an error
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.Out.Write(append(text, '\n'))
}
