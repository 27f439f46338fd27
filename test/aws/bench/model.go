package bench

import "math"

// Size is a deployment and its traffic, constant over the day.
type Size struct {
	Name          string
	Tenants       float64
	EventsPerDay  float64 // of each tenant
	EventsPerCall float64 // 1, 10 or 100: what was measured
	By            Publisher
	Provisioned   bool    // DynamoDB's capacity is, and provisionedUse of it is used; else it is on demand
	Webhooks      float64 // of each tenant
	ReceiverMS    float64
	Peak          float64 // peak rate as a multiple of the average; sizes the shards
}

// Sizes are the three deployments of docs/cost.md.
var Sizes = []Size{
	{Name: "1 tenant", Tenants: 1, EventsPerDay: 10_000, EventsPerCall: 1, Webhooks: 2, ReceiverMS: 100, Peak: 3},
	{Name: "100 tenants", Tenants: 100, EventsPerDay: 10_000, EventsPerCall: 1, Webhooks: 2, ReceiverMS: 100, Peak: 3},
	{Name: "10,000 tenants", Tenants: 10_000, EventsPerDay: 10_000, EventsPerCall: 1, Webhooks: 2, ReceiverMS: 100, Peak: 3},
}

// Assumptions, not measured.
const (
	days, hours   = 30.4, 730.0 // of a month
	keptDays      = 33.0        // the retention, and 3 days for integrations stopped for their failures
	seconds       = hours * 3600
	memoryMB      = 512.0 // of api, fanout and advance
	inFlight      = 16.0  // concurrent calls to a webhook
	lanesAShard   = 10.0  // ParallelizationFactor
	headerBytes   = 700.0 // of a delivery besides its body: headers and TLS
	responseBytes = 600.0 // of an API call
	accessLog     = 450.0 // bytes of a line of the gateway's access log, if it is on
	itemOverhead  = 100.0 // bytes that DynamoDB adds to each item it stores
	inlineBytes   = 16384 // of a segment in the item; more is an object
	sweeps        = 12 * hours
	sweepLog      = 400.0            // bytes
	metricsBusy   = 9                // of the functions
	metricsIdle   = 2                // which the sweep writes
	metricsRoutes = 18               // of the gateway's routes, if they are on
	alarmMetrics  = 15               // of the template's alarms, but for that of canary deployments: one on an expression costs by the metrics in it
	keyCalls      = 0.1              // million KMS calls a month, by services on behalf of the functions
	keyCallsIdle  = 0.02             // of these, of the sweep alone
	outageSteps   = 40               // of an hour in which a webhook fails, with the catch-up after it
	messageCalls  = 3                // of SQS, for a step: sent, received, deleted
	polls         = 5 * seconds / 20 // of the queue while it is empty: Lambda has five, of 20 s each
)

// Line is a row of a bill.
type Line struct {
	Name string
	USD  float64
}

// Bill is what a month costs.
type Bill struct {
	Lines              []Line
	Events, Deliveries float64 // a month
	Invocations        float64 // of fanout
	Segments           float64
	Shards             float64
	Stale              float64 // share of the segments whose process does not know the log's end
	OnDemand           float64 // cost of the stream in that mode, instead of its line
	Traces, AccessLog  float64 // if they were on; not among the lines
}

// Total is the sum of the lines.
func (b *Bill) Total() float64 {
	sum := 0.0
	for _, l := range b.Lines {
		sum += l.USD
	}
	return sum
}

// Of is a line's price.
func (b *Bill) Of(name string) float64 {
	for _, l := range b.Lines {
		if l.Name == name {
			return l.USD
		}
	}
	return 0
}

func (b *Bill) add(name string, usd float64) { b.Lines = append(b.Lines, Line{name, usd}) }

// The lines of a bill.
const (
	lineGateway  = "API Gateway"
	lineAPI      = "Lambda api"
	lineStream   = "Kinesis, provisioned"
	lineFanout   = "Lambda fanout"
	lineWrites   = "DynamoDB writes and reads"
	lineStorage  = "DynamoDB storage"
	lineObjects  = "S3"
	lineOutages  = "SQS and Lambda advance"
	lineKey      = "KMS"
	lineLogs     = "CloudWatch logs"
	lineMetrics  = "CloudWatch metrics and alarms"
	lineSweep    = "Lambda sweep"
	lineTransfer = "Data transfer out"
)

// Month is what a month of a size costs.
func (m *Measured) Month(s Size) *Bill {
	b := &Bill{Events: s.Tenants * s.EventsPerDay * days}
	b.Deliveries = b.Events * s.Webhooks
	call, calls, records := m.calls(s, b.Events)
	m.batches(b, s, records)

	b.add(lineGateway, millions(calls)*usdAPICall)
	b.add(lineAPI, lambda(calls, Model(call.BilledMS, call.CPU, memoryMB), memoryMB))
	m.stream(b, call, records)
	m.fanout(b, s)
	m.table(b, s)
	m.outages(b, s)
	b.add(lineKey, usdKMSKey+keyCalls*usdKMSCall)
	logged := calls*call.LogBytes + b.Invocations*m.HotPath.LogBytes
	b.add(lineLogs, logged/1e9*usdLogGB)
	b.add(lineMetrics, metricsBusy*usdMetricMonth+alarmMetrics*usdAlarmMetric)
	b.add(lineSweep, lambda(sweeps, 200, 256))
	b.add(lineTransfer, (b.Deliveries*(float64(m.HotPath.EventBytes)+headerBytes)+calls*responseBytes)/1e9*usdTransferGB)
	b.Traces = millions(traced(calls)+traced(b.Invocations)+traced(sweeps)) * usdTrace
	b.AccessLog = calls * accessLog / 1e9 * usdLogGB
	return b
}

// batches calculates how often fanout is invoked and with what. Lambda reads each
// shard once a second and distributes the records over the lanes of the event
// source mapping; a tenant is in one of them.
func (m *Measured) batches(b *Bill, s Size, records float64) {
	rate := records / seconds
	b.Shards = max(1, math.Ceil(rate*s.Peak/1000))
	lanes := b.Shards * lanesAShard
	b.Segments = busy(s.Tenants, rate) * seconds
	b.Invocations = min(busy(lanes, rate)*seconds, b.Segments)
	// The batches of a second arrive together, each at its own process. Which one
	// gets a tenant's next batch is random, and only the one that had the last
	// batch knows the log's end; any other must read it first.
	b.Stale = 1 - 1/max(1, b.Invocations/seconds)
}

// busy returns how many of n get something in a second if so many things arrive at
// random.
func busy(n, rate float64) float64 { return n * (1 - math.Exp(-rate/n)) }

func (m *Measured) stream(b *Bill, call Publish, records float64) {
	bytes := float64(call.Bytes)
	b.add(lineStream, b.Shards*hours*usdShardHour+millions(records)*math.Ceil(bytes/25_600)*usdPutUnit)
	gb := records * math.Ceil(bytes/1024) * 1024 / 1e9
	b.OnDemand = hours*usdStreamHour + gb*(usdStreamIn+usdStreamOut)
}

func (m *Measured) fanout(b *Bill, s Size) {
	h := m.HotPath
	segments, deliveries := b.Segments/b.Invocations, b.Deliveries/b.Invocations
	cpu := h.InvocationCPU + segments*h.PartitionCPU + deliveries*h.DeliveryCPU
	rounds := math.Ceil(b.Events / b.Segments / inFlight)
	waits := h.BilledMS + rounds*s.ReceiverMS
	billed := Model(waits, cpu, memoryMB)
	b.add(lineFanout, lambda(b.Invocations, billed, memoryMB))
}

// segmentBytes returns the stored size of a segment with so many events.
func (m *Measured) segmentBytes(events float64) float64 {
	hundred := m.publish(100)
	if events <= 1 {
		return float64(m.HotPath.SegmentBytes)
	}
	each := float64(hundred.Bytes-m.publish(1).Bytes) / 99
	return float64(m.HotPath.SegmentBytes) + (events-1)*each
}

func (m *Measured) table(b *Bill, s Size) {
	bytes := m.segmentBytes(b.Events / b.Segments)
	objects, stored := 0.0, 0.0
	if bytes > inlineBytes {
		objects, stored = b.Segments, bytes
		bytes = 300
	}
	one, ten := float64(m.HotPath.RecordBytes[0]), float64(m.HotPath.RecordBytes[1])
	record := one + (s.Webhooks-1)*(ten-one)/9
	writes := b.Segments * (math.Ceil(bytes/1024) + math.Ceil(record/1024))
	reads := b.Segments * (math.Ceil(record/4096) + b.Stale*math.Ceil(bytes/4096))
	units := onDemand
	if s.Provisioned {
		units = provisioned
	}
	b.add(lineWrites, millions(writes)*units.write+millions(reads)*units.read)
	month := b.Segments * keptDays / days
	b.add(lineStorage, month*(bytes+itemOverhead)/1e9*usdTableGB)
	b.add(lineObjects, millions(objects)*usdObjectPut+month*stored/1e9*usdObjectGB)
}

// outages adds one hour a month in which a webhook fails, and the catch-up after
// it.
func (m *Measured) outages(b *Bill, s Size) {
	integrations := s.Tenants * s.Webhooks
	caught := b.Deliveries / hours
	each := Model(m.CatchUp.BilledMS, m.CatchUp.CPU, memoryMB) / 1000
	steps := integrations * outageSteps
	b.add(lineOutages, millions(polls+steps*messageCalls)*usdQueueCall+lambda(steps, 500+caught/steps*each, memoryMB))
}

// Bus returns the cost of the same traffic on EventBridge, with an API destination
// for each webhook.
func Bus(s Size) float64 {
	events := s.Tenants * s.EventsPerDay * days
	return millions(events) * (usdBusEvent + s.Webhooks*usdBusDelivery)
}

// Topic returns the cost of the same traffic on SNS with HTTP subscriptions.
func Topic(s Size) float64 {
	events := s.Tenants * s.EventsPerDay * days
	return millions(events) * (usdTopicPublish + s.Webhooks*usdTopicHTTP)
}

// lambda returns the price of invocations of the given duration.
func lambda(invocations, billedMS, mb float64) float64 {
	return millions(invocations)*usdLambdaCall + invocations*math.Ceil(billedMS)/1000*mb/1024*usdLambdaGBs
}

// traced returns how many of a month's invocations X-Ray records: one a second and
// 5 % of the rest.
func traced(invocations float64) float64 {
	rate := invocations / seconds
	return (min(rate, 1) + 0.05*max(rate-1, 0)) * seconds
}

func (m *Measured) publish(events int) Publish {
	for _, p := range m.Publish {
		if p.Events == events {
			return p
		}
	}
	return Publish{}
}

func millions(n float64) float64 { return n / 1e6 }
