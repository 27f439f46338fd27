// Package emf writes metrics as lines of a log in Amazon CloudWatch's embedded
// metric format, from which CloudWatch makes metrics without a call:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Namespace is that of every metric; its one dimension is Stage.
const Namespace = "Sluice"

// Unit is a unit of CloudWatch.
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

// Put writes one line with the metrics, none if there are none. Each has a name
// of its own.
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
		return // a value that is no number; a metric is not worth more
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.Out.Write(append(text, '\n'))
}
