// Package bench measures what Lambda would bill for the AWS deployment, on the
// local emulators of package stack. From that, list prices and assumptions it
// calculates the cost of a deployment and generates the tables of
// docs/benchmarks.md and docs/cost.md. The measurement is an opt-in test:
//
//	SLUICE_BENCH=1 go test ./test/aws/bench -run TestBench -v -timeout 60m
package bench

// Measured is the result of one run. CPU times are those of the machine it ran on,
// at full speed.
type Measured struct {
	Command string // that produced the figures
	Date    string // as 2006-01-02
	Machine string
	Load    string // average over a minute, at the beginning and at the end
	Rounds  int

	Functions   []Function
	FullBatches []FullBatch
	HotPath     HotPath
	Publish     []Publish
	// Platform is a call with an event each of a hundred tenants; its Bytes are those of
	// one record.
	Platform     Publish
	PlatformPuts Puts
	Direct       Puts // by the Go producer, single events
	CatchUp      CatchUp
}

// Function is the overhead of one function.
type Function struct {
	Name     string
	ZipBytes int64   // of the arm64 build
	InitMS   float64 // from the start of the process to its first poll, median
	InitCPU  float64 // ms, with the first invocation
	RSS      int64   // bytes, peak, with one small invocation
}

// FullBatch is an invocation of fanout with the largest possible batch.
type FullBatch struct {
	What     string
	Payload  int   // bytes of the invocation
	Events   int   //
	Bodies   int   // bytes of the events
	RSS      int64 // bytes, peak
	BilledMS int64
	Left     int // subscribers of ten that were evicted as slower than the budget
}

// HotPath is the cost breakdown of a warm invocation of fanout, for events that
// come one by one to webhooks that respond immediately.
type HotPath struct {
	InvocationCPU float64 // ms, each invocation
	PartitionCPU  float64 // ms more, each partition in it
	DeliveryCPU   float64 // ms more, each delivery
	BilledMS      float64 // for one partition with one subscriber, on this machine
	LogBytes      float64 // that an invocation writes
	EventBytes    int     // of the body that is delivered
	SegmentBytes  int     // of the item with one event
	RecordBytes   [2]int  // of a partition state, with one subscriber and with ten
}

// Publish is the cost of publish calls with the given number of events.
type Publish struct {
	Events   int
	BilledMS float64 // a call
	CPU      float64 // ms a call
	Bytes    int     // of the record on the stream
	LogBytes float64 // that the function writes
}

// CatchUp is the cost of a thousand catch-up deliveries to a webhook that responds
// in 50 ms.
type CatchUp struct {
	BilledMS float64
	CPU      float64 // ms
}

// Share returns the share of a processor that Lambda gives a function with the
// given memory: a whole one at 1,769 MB.
func Share(mb float64) float64 { return min(mb/1769, 1) }

// Model returns what Lambda would bill, in ms, for an invocation that took
// billedMS and cpuMS of CPU time here: the longer of its duration and its CPU time
// at the function's share of a processor. It assumes that Lambda's processors are
// as fast as this machine's.
func Model(billedMS, cpuMS, mb float64) float64 { return max(billedMS, cpuMS/Share(mb)) }
