package bench

import (
	"fmt"
	"math"
	"strings"
)

// Tables returns the tables of the pages, by the names in their comments there: aws
// in docs/benchmarks.md, those of decisions in docs/adr, the others in docs/cost.md.
func (m *Measured) Tables() map[string]string {
	return map[string]string{
		"aws":      m.report(),
		"prices":   prices(),
		"measured": m.figures(),
		"idle":     idle(),
		"sizes":    m.sizes(),
		"deliver":  m.perMillion(),
		"claim":    m.claim(),
		"publish":  m.publishers(),
		"knobs":    m.knobs(),
		"extras":   m.extras(),
		"exports":  exports(),
		"hotbills": hotBills(),
		"hotsizes": hotSizes(),
		"hotreads": hotReads(),
		"commits":  m.commits(),
		"recovery": m.recovery(),
	}
}

type table struct{ strings.Builder }

func (t *table) row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

func (t *table) line(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }

func (t *table) header(cells ...string) {
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

func prices() string {
	var t table
	t.header("price, us-east-1", "USD", "a")
	for _, r := range []struct {
		what string
		usd  float64
		of   string
	}{
		{"HTTP API", usdAPICall, "million calls"},
		{"Lambda", usdLambdaCall, "million invocations"},
		{"Lambda, arm64", usdLambdaGBs * 1e6, "million GB-seconds"},
		{"Kinesis, provisioned", usdShardHour, "hour of a shard"},
		{"Kinesis, provisioned, 7 days", usdShardWeek, "hour of a shard, besides"},
		{"Kinesis, provisioned", usdPutUnit, "million records of up to 25 KB"},
		{"Kinesis, on demand", usdStreamHour, "hour of a stream"},
		{"Kinesis, on demand, in and out", usdStreamIn + usdStreamOut, "GB"},
		{"Kinesis, on demand, 7 days", usdStreamKept, "GB-month"},
		{"DynamoDB on demand", usdWriteUnit, "million write units of 1 KB"},
		{"DynamoDB on demand", usdReadUnit, "million consistent reads of up to 4 KB"},
		{"DynamoDB, provisioned", provisioned.write, fmt.Sprintf("million write units, of which %.0f %% are used", 100*provisionedUse)},
		{"DynamoDB, provisioned", provisioned.read, "million consistent reads, likewise"},
		{"DynamoDB storage", usdTableGB, "GB-month"},
		{"point-in-time recovery of it", usdRecoveryGB, "GB-month, for the main table alone"},
		{"S3", usdObjectPut, "million PUTs"},
		{"S3", usdObjectGB, "GB-month"},
		{"Step Functions, standard", usdTransition, "million transitions"},
		{"SQS, standard", usdQueueCall, "million requests"},
		{"KMS", usdKMSKey, "key and month"},
		{"CloudWatch logs", usdLogGB, "GB"},
		{"CloudWatch metric; alarm", usdMetricMonth, "month; a metric of an alarm $0.10"},
		{"X-Ray", usdTrace, "million traces recorded"},
		{"transfer to the internet", usdTransferGB, "GB"},
		{"EventBridge, custom events", usdBusEvent, "million of up to 64 KB"},
		{"EventBridge, API destinations", usdBusDelivery, "million calls"},
		{"SNS, publishing; HTTP", usdTopicPublish, "million; a delivery by HTTP $0.60 a million"},
	} {
		t.row(r.what, fmt.Sprintf("%.3f", r.usd), r.of)
	}
	return t.String()
}

func (m *Measured) figures() string {
	var t table
	h := m.HotPath
	t.header("measured", "figure")
	t.row("date, command and machine", fmt.Sprintf("%s, `%s`, %s, load %s", m.Date, m.Command, m.Machine, m.Load))
	t.row("CPU of an invocation of `fanout`, warm", fmt.Sprintf("%.2f ms", h.InvocationCPU))
	t.row("… more for each partition (tenant) in it", fmt.Sprintf("%.2f ms", h.PartitionCPU))
	t.row("… more for each delivery, over TLS", fmt.Sprintf("%.3f ms", h.DeliveryCPU))
	t.row("billed, one event to one webhook that responds immediately", fmt.Sprintf("%.0f ms, with a local emulator of DynamoDB", h.BilledMS))
	t.row("body of an event", fmt.Sprintf("%d bytes", h.EventBytes))
	t.row("item of a segment with one event", fmt.Sprintf("%d bytes: %.0f write unit(s)", h.SegmentBytes, math.Ceil(float64(h.SegmentBytes)/1024)))
	t.row("partition state, one subscriber; ten", fmt.Sprintf("%d; %d bytes: one write unit up to 1,024", h.RecordBytes[0], h.RecordBytes[1]))
	t.row("log of an invocation of `fanout`", fmt.Sprintf("%.0f bytes", h.LogBytes))
	for _, p := range m.Publish {
		t.row(fmt.Sprintf("publish call of %d events: CPU; billed; record; log", p.Events),
			fmt.Sprintf("%.2f ms; %.0f ms; %d bytes; %.0f bytes", p.CPU, p.BilledMS, p.Bytes, p.LogBytes))
	}
	m.putFigures(&t)
	return t.String()
}

func (m *Measured) sizes() string {
	var bills []*Bill
	cells := []string{"a month"}
	for _, s := range Sizes {
		bills, cells = append(bills, m.Month(s)), append(cells, s.Name)
	}
	var t table
	t.header(cells...)
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

func (m *Measured) perMillion() string {
	var t table
	t.header("webhooks a tenant", "events a publish call", "a million deliveries", "of it transfer", "most is")
	for _, s := range grid() {
		b := m.Month(s)
		d := millions(b.Deliveries)
		t.row(fmt.Sprintf("%.0f", s.Webhooks), fmt.Sprintf("%.0f", s.EventsPerCall), usd(b.Total()/d), usd(b.Of(lineTransfer)/d), b.most())
	}
	return t.String()
}

// most names the three largest lines with their share of the total.
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

// claim compares costs without data transfer, which the other services charge too
// or leave to their user.
func (m *Measured) claim() string {
	var t table
	t.header("tenants", "webhooks", "events a call", "Sluice, all but transfer", "EventBridge", "is", "SNS", "is")
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
		b := m.Month(s)
		ours := b.Total() - b.Of(lineTransfer)
		bus, topic := Bus(s), Topic(s)
		t.row(fmt.Sprintf("%.0f", s.Tenants), fmt.Sprintf("%.0f", s.Webhooks), fmt.Sprintf("%.0f", s.EventsPerCall),
			usd(ours), usd(bus), times(ours/bus), usd(topic), times(ours/topic))
	}
	return t.String()
}

func times(v float64) string { return fmt.Sprintf("%.2g ×", v) }

// knobs shows what each change saves on the bill of 100 tenants.
func (m *Measured) knobs() string {
	base, ten, hundred := Sizes[1], Sizes[1], Sizes[1]
	ten.EventsPerCall, hundred.EventsPerCall = 10, 100
	bill := m.Month(base)
	var t table
	t.header("of the "+usd(bill.Total())+" of "+base.Name, "saves")
	for _, r := range []struct {
		what  string
		saves float64
	}{
		{"publish ten events a call", bill.Total() - m.Month(ten).Total()},
		{"publish a hundred events a call", bill.Total() - m.Month(hundred).Total()},
	} {
		t.row(r.what, usd(r.saves))
	}
	return t.String()
}

// recovery shows what point-in-time recovery of the segments would cost.
func (m *Measured) recovery() string {
	var t table
	t.header("a month of", "storage of the log", "with point-in-time recovery", "saved", "of the bill")
	for _, s := range Sizes {
		b := m.Month(s)
		stored := b.Of(lineStorage)
		saved := stored * usdRecoveryGB / usdTableGB
		t.row(s.Name, usd(stored), usd(stored+saved), usd(saved), fmt.Sprintf("%.0f %%", 100*saved/(b.Total()+saved)))
	}
	return t.String()
}

// extras shows what the switches of the template that are off add to the bill of 100 tenants.
func (m *Measured) extras() string {
	bill := m.Month(Sizes[1])
	var t table
	t.header("parameter", "adds to the "+usd(bill.Total())+" of "+Sizes[1].Name)
	t.row("`Traces: true`, X-Ray", usd(bill.Traces))
	t.row("`AccessLog: true`, a line of the gateway for each call", usd(bill.AccessLog))
	t.row("`RouteMetrics: true`, 18 metrics of the gateway", usd(metricsRoutes*usdMetricMonth))
	return t.String()
}

// exports shows the cost of an S3 integration with events, calculated because it is not
// measured.
func exports() string {
	const steps = 2 // per interval: one when it is woken, one that writes its file
	intervals := 12 * hours
	requests := intervals * steps * messageCalls
	var t table
	t.header("an S3 integration with events in every five minutes, a month", "USD")
	t.row(fmt.Sprintf("SQS, %s requests", grouped(requests)), usd(millions(requests)*usdQueueCall))
	t.row("Lambda advance, 200 ms a step (assumed)", usd(lambda(intervals*steps, 200, memoryMB)))
	t.row("PUTs, paid by the owner of the bucket", usd(millions(intervals)*usdObjectPut))
	return t.String()
}

// report shows the measurement.
func (m *Measured) report() string {
	var t table
	t.line("%s, %s; %s; load %s; catch-up is the median of %d round(s).\n", m.Command, m.Date, m.Machine, m.Load, m.Rounds)
	t.header("what", "target", "reached", "met")
	for _, f := range m.Functions {
		t.row(f.Name+": init", "≤ 50 ms", fmt.Sprintf("%.0f ms", f.InitMS), met(f.InitMS <= 50))
		t.row(f.Name+": zip", "≤ 12 MiB", mib(f.ZipBytes), met(f.ZipBytes <= 12<<20))
	}
	for _, b := range m.FullBatches {
		t.row("fanout: memory for a full batch, "+b.What, "≤ 128 MiB", mib(b.RSS), met(b.RSS <= 128<<20))
	}
	t.line("")
	t.header("function", "zip, arm64", "init", "CPU of a cold start", "peak memory")
	for _, f := range m.Functions {
		t.row(f.Name, mib(f.ZipBytes), fmt.Sprintf("%.0f ms", f.InitMS), fmt.Sprintf("%.0f ms", f.InitCPU), mib(f.RSS))
	}
	t.line("")
	t.header("full batch of fanout, ten subscribers", "invocation", "events", "bodies", "peak memory", "billed", "subscribers evicted")
	for _, b := range m.FullBatches {
		t.row(b.What, mib(int64(b.Payload)), fmt.Sprint(b.Events), mib(int64(b.Bodies)), mib(b.RSS), fmt.Sprintf("%d ms", b.BilledMS), fmt.Sprint(b.Left))
	}
	h, c := m.HotPath, m.CatchUp
	t.line("\nA warm invocation of fanout: %.2f ms of CPU, %.2f ms more a partition, %.3f ms more a delivery; with one of each it takes %.0f ms and writes %.0f bytes of log.",
		h.InvocationCPU, h.PartitionCPU, h.DeliveryCPU, h.BilledMS, h.LogBytes)
	t.line("An event of %d bytes makes an item of %d bytes. A partition state has %d bytes with one subscriber, %d with ten.",
		h.EventBytes, h.SegmentBytes, h.RecordBytes[0], h.RecordBytes[1])
	t.line("A thousand catch-up deliveries to one webhook that responds in 50 ms: billed %.0f ms, %.0f ms of CPU, %.0f ms by the model.\n",
		c.BilledMS, c.CPU, Model(c.BilledMS, c.CPU, memoryMB))
	t.header("publish call", "billed", "CPU", "on the stream", "log")
	for _, p := range m.Publish {
		t.row(fmt.Sprintf("%d events", p.Events), fmt.Sprintf("%.1f ms", p.BilledMS), fmt.Sprintf("%.2f ms", p.CPU), fmt.Sprintf("%d B", p.Bytes), fmt.Sprintf("%.0f B", p.LogBytes))
	}
	return t.String()
}

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
