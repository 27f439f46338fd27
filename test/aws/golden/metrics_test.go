package golden_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/golden"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// written is a metric as a function wrote it to its log: "Namespace Name of Stage; Stage,Tenant".
type written map[string]float64

// metricsOf returns the metrics in a function's log, with the namespace and the dimensions.
func metricsOf(t *testing.T, log []byte) written {
	t.Helper()
	all := written{}
	for line := range bytes.Lines(log) {
		var e struct {
			AWS *struct {
				Metrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				} `json:"CloudWatchMetrics"`
			} `json:"_aws"`
		}
		var values map[string]any
		if json.Unmarshal(line, &e) != nil || e.AWS == nil || json.Unmarshal(line, &values) != nil {
			continue
		}
		for _, d := range e.AWS.Metrics {
			var sets []string
			for _, set := range d.Dimensions {
				sets = append(sets, strings.Join(set, ","))
			}
			for _, m := range d.Metrics {
				all[d.Namespace+" "+m.Name+" of "+strings.Join(sets, "; ")], _ = values[m.Name].(float64)
			}
		}
	}
	return all
}

// The functions write what the alarms read. A metric that is renamed, or has other dimensions,
// would leave its alarm silent for ever.
func TestFunctionsWriteWhatAlarmsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("it deploys a stack")
	}
	w := golden.New(t)
	refused := func(service string, ops ...string) front.Fault {
		return front.Fault{Kind: front.Gone, Match: func(s, op string, _ []byte) bool { return s == service && slices.Contains(ops, op) }}
	}
	got := written{}
	run := func(function, name string, faults ...front.Fault) {
		t.Helper()
		c, err := golden.Find(function, name)
		if err != nil {
			t.Fatal(err)
		}
		input, err := c.Input()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range faults {
			defer w.Front.Inject(f)()
		}
		logged := len(w.Host.Log(function))
		if _, err := w.Host.Invoke(t.Context(), function, input); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		maps.Copy(got, metricsOf(t, w.Host.Log(function)[logged:]))
	}
	run("fanout", "several-records", refused(front.DynamoDB, "PutItem"))
	run("fanout", "malformed-record")
	run("api", "list-empty", refused(front.DynamoDB, "Query"))
	run("sweep", "nothing")
	want := written{
		"Sluice BatchesFailed of Stage": 1, "Sluice MalformedRecords of Stage": 1, "Sluice ServerErrors of Stage": 1,
		"Sluice BatchesGivenUp of Stage": 0, "Sluice OverdueSeconds of Stage": 0,
	}
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s: %v, %v; want %v", name, v, ok, value)
		}
	}
	unit := []string{"Sluice EventsSkipped of Stage"} // TestFlush of package awsenv
	var read []string
	for _, name := range namesInAlarms(t) {
		read = append(read, "Sluice "+name+" of Stage")
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(want)), unit...))), read); diff != "" {
		t.Errorf("metrics of ours (-written +read by the alarms of template.yaml):\n%s", diff)
	}
}

// namesInAlarms returns the metrics of ours that the alarms of the template read.
func namesInAlarms(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(), "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`Namespace: Sluice(?:, |\s+)MetricName: (\w+)(?:, |\s+)Dimensions: \[\{Name: Stage, Value: !Ref Stage\}\]`).FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// An integration that fails has a metric of its own; one that catches up has none.
func TestLagIsOfFailingIntegrationsOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("it deploys a stack")
	}
	w := golden.New(t)
	const lag = "Sluice OldestLagSeconds of Stage; Stage,Tenant,Integration"
	for name, fails := range map[string]bool{"receiver-still-failing": true, "catch-up": false, "replay": false} {
		c, err := golden.Find("advance", name)
		if err != nil {
			t.Fatal(err)
		}
		ran, err := w.Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		value, ok := metricsOf(t, ran.Log)[lag]
		if ok != fails || ok && value <= 0 {
			t.Errorf("%s: its lag is %v, %v\n%s", c, value, ok, ran.Log)
		}
		if ok && !bytes.Contains(ran.Log, []byte(`"Integration":"shop"`)) {
			t.Errorf("it does not name the integration: %s", ran.Log)
		}
	}
}
