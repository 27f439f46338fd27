package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// metricSeries is a metric that an alarm reads.
type metricSeries struct {
	id                                string // in the alarm's expression; "" if it has none
	namespace, name, dimensions, stat string
	period                            float64 // s
}

// key names the metric in a recording: "IncomingRecords Stream", or "OverdueSeconds" for one of
// ours, of which the only dimension is the stage.
func (m *metricSeries) key() string {
	_, value, _ := strings.Cut(m.dimensions, "=")
	return strings.TrimSuffix(m.name+" "+value, " Stage")
}

// seriesOf returns the metrics that an alarm reads.
func seriesOf(p object) []metricSeries {
	of := func(id string, m object, stat, period any) metricSeries {
		var dimensions []string
		for _, d := range m["Dimensions"].([]any) {
			dimensions = append(dimensions, at(d, "Name").(string)+"="+strings.Join(listOf(at(d, "Value")), ","))
		}
		return metricSeries{id, m["Namespace"].(string), m["MetricName"].(string), strings.Join(dimensions, " "), stat.(string), period.(float64)}
	}
	if p["Metrics"] == nil {
		return []metricSeries{of("", p, p["Statistic"], p["Period"])}
	}
	var all []metricSeries
	for _, m := range p["Metrics"].([]any) {
		if stat := at(m, "MetricStat"); stat != nil {
			all = append(all, of(at(m, "Id").(string), at(stat, "Metric").(object), at(stat, "Stat"), at(stat, "Period")))
		}
	}
	return all
}

// point is the value of a metric in a period; missing if nothing was written in it.
type point struct {
	value   float64
	missing bool
}

// recording has the samples of each metric, by its key and by period: "5 . 1,2 3*0" are 5, none,
// two, and one of 0 in each of 3 periods.
type recording map[string]string

// points aggregates the samples of a metric in each of n periods.
func (r recording) points(t *testing.T, m *metricSeries, n int) []point {
	t.Helper()
	var all []point
	for field := range strings.FieldsSeq(r[m.key()]) {
		times := 1
		if before, after, ok := strings.Cut(field, "*"); ok {
			times, _ = strconv.Atoi(before)
			field = after
		}
		p := point{missing: field == "."}
		for sample := range strings.SplitSeq(field, ",") {
			value, err := strconv.ParseFloat(sample, 64)
			switch {
			case p.missing:
			case err != nil:
				t.Fatalf("%s: %v", m.key(), err)
			case m.stat == "Sum":
				p.value += value
			case m.stat == "Maximum":
				p.value = max(p.value, value)
			default:
				t.Fatalf("this test does not know the statistic %s", m.stat)
			}
		}
		all = append(all, slices.Repeat([]point{p}, times)...)
	}
	for len(all) < n {
		all = append(all, point{missing: true})
	}
	return all
}

// ringing returns, for each period of the recording, whether the alarm is on after it, by the
// rules of
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html:
// it is on while enough of the last periods are at the threshold or above. Before the
// recording there is no data.
func ringing(t *testing.T, p object, r recording) []bool {
	t.Helper()
	series, n := seriesOf(p), 0
	for known := range r {
		if !slices.ContainsFunc(series, func(m metricSeries) bool { return m.key() == known }) {
			t.Fatalf("the recording has %s, which the alarm does not read", known)
		}
	}
	values := map[string][]point{}
	for range 2 { // the second time they all have the same length
		for i := range series {
			values[series[i].id] = r.points(t, &series[i], n)
			n = max(n, len(values[series[i].id]))
		}
	}
	watched := values[""]
	if p["Metrics"] != nil {
		watched = evaluate(t, expressionOf(t, p), values, n)
	}
	if p["ComparisonOperator"] != "GreaterThanOrEqualToThreshold" {
		t.Fatalf("this test does not know the comparison %v", p["ComparisonOperator"])
	}
	bad := make([]bool, n)
	for i, v := range watched {
		bad[i] = v.missing && p["TreatMissingData"] == "breaching" || !v.missing && v.value >= p["Threshold"].(float64)
	}
	of, some := int(p["EvaluationPeriods"].(float64)), int(p["DatapointsToAlarm"].(float64))
	on := make([]bool, n)
	for i := range on {
		count := 0
		for _, b := range bad[max(0, i-of+1) : i+1] {
			if b {
				count++
			}
		}
		on[i] = count >= some
	}
	return on
}

// expressionOf returns the one expression of an alarm, whose value it watches.
func expressionOf(t *testing.T, p object) string {
	t.Helper()
	found := ""
	for _, m := range p["Metrics"].([]any) {
		text, ok := at(m, "Expression").(string)
		if ok == (at(m, "ReturnData") == false) {
			t.Fatalf("of the metrics, exactly the expression must be watched: %v", m)
		}
		if ok {
			found += text
		}
	}
	return found
}

// evaluate evaluates metric math in each period: +, comparisons, AND, OR, FILL and IF. What is
// calculated from a missing value is missing.
func evaluate(t *testing.T, text string, values map[string][]point, n int) []point {
	t.Helper()
	all := make([]point, n)
	for i := range all {
		f := &formula{t: t, text: text, at: i, values: values}
		all[i] = f.logic()
		if f.rest() != "" {
			t.Fatalf("%q: cannot read %q", text, f.rest())
		}
	}
	return all
}

// formula evaluates an expression in one period, by recursive descent.
type formula struct {
	t      *testing.T
	text   string
	pos    int
	at     int // the period
	values map[string][]point
}

func (f *formula) rest() string { return strings.TrimSpace(f.text[f.pos:]) }

// take takes one of the words, "" if none is next.
func (f *formula) take(words ...string) string {
	for _, w := range words {
		if strings.HasPrefix(f.rest(), w) {
			f.pos = len(f.text) - len(f.rest()) + len(w)
			return w
		}
	}
	return ""
}

func (f *formula) want(word string) {
	f.t.Helper()
	if f.take(word) == "" {
		f.t.Fatalf("%q: %q must come before %q", f.text, word, f.rest())
	}
}

func truth(b, missing bool) point {
	if b {
		return point{1, missing}
	}
	return point{0, missing}
}

func (f *formula) logic() point {
	a := f.comparison()
	for {
		switch f.take("AND", "OR") {
		case "AND":
			b := f.comparison()
			a = truth(a.value != 0 && b.value != 0, a.missing || b.missing)
		case "OR":
			b := f.comparison()
			a = truth(a.value != 0 || b.value != 0, a.missing || b.missing)
		default:
			return a
		}
	}
}

func (f *formula) comparison() point {
	a := f.sum()
	switch f.take("==", ">=", ">") {
	case "==":
		b := f.sum()
		return truth(a.value == b.value, a.missing || b.missing)
	case ">=":
		b := f.sum()
		return truth(a.value >= b.value, a.missing || b.missing)
	case ">":
		b := f.sum()
		return truth(a.value > b.value, a.missing || b.missing)
	}
	return a
}

func (f *formula) sum() point {
	a := f.term()
	for f.take("+") != "" {
		b := f.term()
		a = point{a.value + b.value, a.missing || b.missing}
	}
	return a
}

func (f *formula) term() point {
	f.t.Helper()
	switch f.take("FILL(", "IF(") {
	case "FILL(":
		v := f.term()
		f.want(",")
		filler := f.term()
		f.want(")")
		if v.missing {
			return filler
		}
		return v
	case "IF(":
		condition := f.logic()
		f.want(",")
		yes := f.logic()
		f.want(",")
		no := f.logic()
		f.want(")")
		if condition.missing {
			return condition
		}
		if condition.value != 0 {
			return yes
		}
		return no
	}
	word := f.rest()
	if end := strings.IndexFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }); end >= 0 {
		word = word[:end]
	}
	f.take(word)
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		return point{value: n}
	}
	series, known := f.values[word]
	if !known {
		f.t.Fatalf("%q: there is no metric %q", f.text, word)
	}
	return series[f.at]
}

func TestEvaluate(t *testing.T) {
	values := map[string][]point{"a": {{value: 2}, {missing: true}}, "b": {{value: 0}, {value: 3}}}
	for text, want := range map[string]string{
		"a + b":                         "2 .",
		"FILL(a, 0) + FILL(b, 0)":       "2 3",
		"FILL(a, 7) + b + 1":            "3 11",
		"a > 1 AND b == 0":              "1 .",
		"FILL(a, 0) >= 2 OR b > 2":      "1 1",
		"IF(a > 0, 5, 6)":               "5 .",
		"IF(FILL(a, 0) > 0, b, 1)":      "0 1",
		"IF(b > 0 AND b == 3, 1, a)":    "2 1",
		"IF(FILL(a,0)==0 AND b>0,1,0)":  "0 1",
		"FILL(a, 0) + IF(b > 2, 10, 0)": "2 10",
	} {
		var got []string
		for _, p := range evaluate(t, text, values, 2) {
			if p.missing {
				got = append(got, ".")
			} else {
				got = append(got, fmt.Sprint(p.value))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is %v, want %s", text, got, want)
		}
	}
}
