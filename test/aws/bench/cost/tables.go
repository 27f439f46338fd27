package cost

import (
	"fmt"
	"math"
	"strings"
)

// Tables are the tables of docs/cost.md by the names that mark them there.
func (m *Measured) Tables(p *Prices) map[string]string {
	return map[string]string{
		"prices":   prices(p),
		"measured": m.figures(),
		"idle":     idle(p),
		"sizes":    m.sizes(p),
		"deliver":  m.perMillion(p),
		"claim":    m.claim(p),
		"knobs":    m.knobs(p),
		"exports":  exports(p),
	}
}

type table struct{ strings.Builder }

func (t *table) row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

func (t *table) head(cells ...string) {
	t.row(cells...)
	t.WriteString("|" + strings.Repeat("---|", len(cells)) + "\n")
}

func usd(v float64) string {
	switch {
	case v == 0:
		return "–"
	case v < 0.005:
		return "< $0.01"
	case v < 100:
		return fmt.Sprintf("$%.2f", v)
	}
	return "$" + grouped(v)
}

func count(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.2g", v)
	}
	return grouped(v)
}

// grouped is a whole number with commas.
func grouped(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func prices(p *Prices) string {
	var t table
	t.head("price, "+p.Region, "USD", "a")
	for _, r := range []struct {
		what string
		usd  float64
		of   string
	}{
		{"HTTP API", p.APICall, "million calls"},
		{"Lambda", p.LambdaCall, "million invocations"},
		{"Lambda, arm64", p.LambdaGBs * 1e6, "million GB-seconds"},
		{"Kinesis, provisioned", p.ShardHour, "hour of a shard"},
		{"Kinesis, provisioned, 7 days", p.ShardWeek, "hour of a shard, besides"},
		{"Kinesis, provisioned", p.PutUnit, "million records of up to 25 KB"},
		{"Kinesis, on demand", p.StreamHour, "hour of a stream"},
		{"Kinesis, on demand, in and out", p.StreamIn + p.StreamOut, "GB"},
		{"Kinesis, on demand, 7 days", p.StreamKept, "GB-month"},
		{"DynamoDB on demand", p.WriteUnit, "million write units of 1 KB"},
		{"DynamoDB on demand", p.ReadUnit, "million consistent reads of up to 4 KB"},
		{"DynamoDB storage and point-in-time recovery", p.TableGB + p.RecoveryGB, "GB-month"},
		{"S3", p.ObjectPut, "million PUTs"},
		{"S3", p.ObjectGB, "GB-month"},
		{"Step Functions, standard", p.Transition, "million transitions"},
		{"KMS", p.KMSKey, "key and month"},
		{"CloudWatch logs", p.LogGB, "GB"},
		{"CloudWatch metric; alarm", p.MetricMonth, "month; an alarm $0.10"},
		{"X-Ray", p.Trace, "million traces recorded"},
		{"transfer to the internet", p.TransferGB, "GB"},
		{"EventBridge, custom events", p.BusEvent, "million of up to 64 KB"},
		{"EventBridge, API destinations", p.BusDelivery, "million calls"},
		{"SNS, publishing; HTTP", p.TopicPublish, "million; a delivery by HTTP $0.60 a million"},
	} {
		t.row(r.what, fmt.Sprintf("%.3f", r.usd), r.of)
	}
	return t.String()
}

func (m *Measured) figures() string {
	var t table
	h := m.HotPath
	t.head("measured", "figure")
	t.row("when, and by what", fmt.Sprintf("%s, `%s`, %s, load %s", m.Date, m.Command, m.Machine, m.Load))
	t.row("CPU of an invocation of `fanout`, warm", fmt.Sprintf("%.2f ms", h.InvocationCPU))
	t.row("… more for each partition (tenant) in it", fmt.Sprintf("%.2f ms", h.PartitionCPU))
	t.row("… more for each delivery, over TLS", fmt.Sprintf("%.3f ms", h.DeliveryCPU))
	t.row("billed, one event to one webhook that answers at once", fmt.Sprintf("%.0f ms, with local stand-ins for DynamoDB", h.BilledMS))
	t.row("body of an event", fmt.Sprintf("%d bytes", h.EventBytes))
	t.row("item of a segment with one event", fmt.Sprintf("%d bytes: %.0f write unit(s)", h.SegmentBytes, math.Ceil(float64(h.SegmentBytes)/1024)))
	t.row("partition record, one follower; ten", fmt.Sprintf("%d; %d bytes: one write unit up to 1,024", h.RecordBytes[0], h.RecordBytes[1]))
	t.row("log of an invocation of `fanout`", fmt.Sprintf("%.0f bytes", h.LogBytes))
	for _, p := range m.Publish {
		t.row(fmt.Sprintf("publish call of %d events: CPU; billed; record; log", p.Events),
			fmt.Sprintf("%.2f ms; %.0f ms; %d bytes; %.0f bytes", p.CPU, p.BilledMS, p.Bytes, p.LogBytes))
	}
	return t.String()
}

func idle(p *Prices) string {
	var t table
	b := Idle(p)
	t.head("a month in which nothing happens", "USD")
	for _, l := range b.Lines {
		t.row(l.Name, usd(l.USD))
	}
	t.row("**sum, with one provisioned shard**", "**"+usd(b.Total())+"**")
	t.row("sum, with the stream on demand", usd(b.Total()-b.Of(lineStream)+hours*p.StreamHour))
	return t.String()
}

func (m *Measured) sizes(p *Prices) string {
	var bills []*Bill
	cells := []string{"a month"}
	for _, s := range Sizes {
		bills, cells = append(bills, m.Month(s, p)), append(cells, s.Name)
	}
	var t table
	t.head(cells...)
	row := func(name string, of func(*Bill) string) {
		cells := []string{name}
		for _, b := range bills {
			cells = append(cells, of(b))
		}
		t.row(cells...)
	}
	row("million events", func(b *Bill) string { return count(millions(b.Events)) })
	row("million deliveries", func(b *Bill) string { return count(millions(b.Deliveries)) })
	row("million invocations of `fanout`", func(b *Bill) string { return count(millions(b.Invocations)) })
	row("events a segment", func(b *Bill) string { return fmt.Sprintf("%.2f", b.Events/b.Segments) })
	row("shards", func(b *Bill) string { return fmt.Sprintf("%.0f", b.Shards) })
	for i, l := range bills[0].Lines {
		row(l.Name, func(b *Bill) string { return usd(b.Lines[i].USD) })
	}
	row("**sum**", func(b *Bill) string { return "**" + usd(b.Total()) + "**" })
	row("**a million deliveries**", func(b *Bill) string { return "**" + usd(b.Total()/millions(b.Deliveries)) + "**" })
	row("the stream on demand instead", func(b *Bill) string { return usd(b.OnDemand) })
	return t.String()
}

// grid are kinds of traffic of 100 tenants.
func grid() []Size {
	var list []Size
	for _, webhooks := range []float64{1, 2, 10} {
		for _, events := range []float64{1, 10, 100} {
			s := Sizes[1]
			s.Webhooks, s.EventsPerCall = webhooks, events
			list = append(list, s)
		}
	}
	return list
}

func (m *Measured) perMillion(p *Prices) string {
	var t table
	t.head("webhooks a tenant", "events a publish call", "a million deliveries", "of it transfer", "most is")
	for _, s := range grid() {
		b := m.Month(s, p)
		d := millions(b.Deliveries)
		t.row(fmt.Sprintf("%.0f", s.Webhooks), fmt.Sprintf("%.0f", s.EventsPerCall), usd(b.Total()/d), usd(b.Of(lineTransfer)/d), b.most())
	}
	return t.String()
}

// most names the three largest lines with their part of the whole.
func (b *Bill) most() string {
	lines := append([]Line(nil), b.Lines...)
	var words []string
	for range 3 {
		best := 0
		for i := range lines {
			if lines[i].USD > lines[best].USD {
				best = i
			}
		}
		words = append(words, fmt.Sprintf("%s %.0f %%", lines[best].Name, 100*lines[best].USD/b.Total()))
		lines[best].USD = 0
	}
	return strings.Join(words, ", ")
}

// claim compares without the lines that the others have, too, or leave to whoever
// uses them: transfer, and what stands idle.
func (m *Measured) claim(p *Prices) string {
	var t table
	t.head("tenants", "webhooks", "events a call", "Sluice, all but transfer", "EventBridge", "is", "SNS", "is")
	var list []Size
	list = append(list, Sizes[0])
	list = append(list, grid()...)
	for _, webhooks := range []float64{2, 10} {
		for _, events := range []float64{1, 100} {
			s := Sizes[2]
			s.Webhooks, s.EventsPerCall = webhooks, events
			list = append(list, s)
		}
	}
	for _, s := range list {
		b := m.Month(s, p)
		ours := b.Total() - b.Of(lineTransfer)
		bus, topic := Bus(s, p), Topic(s, p)
		t.row(fmt.Sprintf("%.0f", s.Tenants), fmt.Sprintf("%.0f", s.Webhooks), fmt.Sprintf("%.0f", s.EventsPerCall),
			usd(ours), usd(bus), times(ours/bus), usd(topic), times(ours/topic))
	}
	return t.String()
}

func times(v float64) string { return fmt.Sprintf("%.2g ×", v) }

// knobs are what a change saves of the bill of 100 tenants.
func (m *Measured) knobs(p *Prices) string {
	base := m.Month(Sizes[1], p)
	var t table
	t.head("of the "+usd(base.Total())+" of "+Sizes[1].Name, "saves")
	saves := func(what string, after float64) { t.row(what, usd(base.Total()-after)) }
	batched := Sizes[1]
	batched.EventsPerCall = 10
	saves("publish ten events a call", m.Month(batched, p).Total())
	batched.EventsPerCall = 100
	saves("publish a hundred events a call", m.Month(batched, p).Total())
	saves("`Tracing: PassThrough` for `Active` in the template: no traces", base.Total()-base.Of(lineTraces))
	saves("no detailed metrics of the gateway's routes", base.Total()-18*p.MetricMonth)
	saves("no access log of the gateway", base.Total()-base.AccessLog)
	bare := *p
	bare.RecoveryGB = 0
	saves("no point-in-time recovery (operations.md rests on it)", m.Month(Sizes[1], &bare).Total())
	day := *p
	day.ShardWeek = 0
	saves("a day of retention on the stream for seven (a day to repair fanout)", m.Month(Sizes[1], &day).Total())
	return t.String()
}

// exports is what an S3 integration costs while events come: by the definition
// of the state machine, as no bench has one.
func exports(p *Prices) string {
	const steps = 2 // of each interval: it is woken, and it writes its file
	intervals := 12 * hours
	transitions := intervals * (steps*3 + 1)
	var t table
	t.head("an S3 integration with events in every five minutes, a month", "USD")
	t.row(fmt.Sprintf("Step Functions, %s transitions", grouped(transitions)), usd(millions(transitions)*p.Transition))
	t.row("Lambda advance, 200 ms a step (assumed)", usd(lambda(p, intervals*steps, 200, memoryMB)))
	t.row("PUTs, paid by the owner of the bucket", usd(millions(intervals)*p.ObjectPut))
	return t.String()
}
