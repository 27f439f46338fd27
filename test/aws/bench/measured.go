// Package bench measures the AWS shape on the local stand-ins of package stack:
// what Lambda would bill for. From that, from list prices and from assumptions it
// calculates what a deployment costs, and makes the tables of docs/benchmarks.md
// and docs/cost.md. Measuring is a test that must be asked for:
//
//	SLUICE_BENCH=1 go test ./test/aws/bench -run TestBench -v -timeout 60m
package bench

// Measured is one run. Times of CPU are those of the machine that it ran on, at
// full speed.
type Measured struct {
	Command string // that took the figures
	Date    string // as 2006-01-02
	Machine string
	Load    string // average over a minute, at the beginning and at the end
	Rounds  int

	Functions   []Function
	FullBatches []FullBatch
	HotPath     HotPath
	Publish     []Publish
	CatchUp     CatchUp
}

// Function is a function by itself.
type Function struct {
	Name     string
	ZipBytes int64   // of the arm64 build
	InitMS   float64 // from the start of the process to its first poll, median
	InitCPU  float64 // ms, with the first invocation
	RSS      int64   // bytes, peak, with one small invocation
}

// FullBatch is an invocation of fanout with as much as it can get.
type FullBatch struct {
	What     string
	Payload  int   // bytes of the invocation
	Events   int   //
	Bodies   int   // bytes of the events
	RSS      int64 // bytes, peak
	BilledMS int64
	Left     int // followers of ten that left for being slower than the budget
}

// HotPath is what a warm invocation of fanout is made of, for events that come
// one by one to webhooks that answer at once.
type HotPath struct {
	InvocationCPU float64 // ms, each invocation
	PartitionCPU  float64 // ms more, each partition in it
	DeliveryCPU   float64 // ms more, each delivery
	BilledMS      float64 // of one partition with one follower, on this machine
	LogBytes      float64 // that an invocation writes
	EventBytes    int     // of the body that is delivered
	SegmentBytes  int     // of the item with one event
	RecordBytes   [2]int  // of a partition's record, with one follower and with ten
}

// Publish is the publishing of calls of so many events.
type Publish struct {
	Events   int
	BilledMS float64 // a call
	CPU      float64 // ms a call
	Bytes    int     // of the record on the stream
	LogBytes float64 // that the function writes
}

// CatchUp is a webhook that answers in 50 ms and takes what it has missed, a
// thousand deliveries.
type CatchUp struct {
	BilledMS float64
	CPU      float64 // ms
}

// Share is the part of a processor that Lambda gives a function of so many MB:
// a whole one at 1,769 MB.
func Share(mb float64) float64 { return min(mb/1769, 1) }

// Model is what Lambda would bill, in ms, for what took so long here and used so
// much CPU time: the longer one of the waiting and of the CPU time at the
// function's share of a processor. It is a model: it takes Lambda's processors
// to be as fast as the machine's.
func Model(billedMS, cpuMS, mb float64) float64 { return max(billedMS, cpuMS/Share(mb)) }
