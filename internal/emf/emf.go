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

// Namespace is the namespace of every metric. The only dimension is Stage.
const Namespace = "Sluice"

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
	if len(metrics) == 0 {
		return
	}
	d := directive{Namespace: Namespace, Dimensions: [][]string{{"Stage"}}}
	line := map[string]any{"Stage": w.Stage}
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
