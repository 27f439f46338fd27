package front

import (
	"fmt"
	"slices"
	"time"
)

// Kind is what happens to a request.
type Kind string

const (
	none Kind = ""

	// Throttle responds with the service's throttling error. It cancels a DynamoDB
	// transaction, which the SDK does not retry. It puts every other record of a
	// Kinesis PutRecords and throttles the rest; a single record is always
	// throttled.
	Throttle Kind = "throttle"

	// Conflict fails a DynamoDB write with the error for an item in another
	// transaction; it throttles any other call.
	Conflict Kind = "conflict"

	// Error500 responds with an internal error of the service.
	Error500 Kind = "500"

	// TimeoutAfterSuccess executes the call and cuts the connection without a
	// response.
	TimeoutAfterSuccess Kind = "timeout after success"

	// Denied responds that the caller lacks permission.
	Denied Kind = "denied"

	// Gone responds that the table, stream, bucket, key, queue, state machine or
	// function does not exist.
	Gone Kind = "gone"

	// Latency delays the call by Fault.Latency.
	Latency Kind = "latency"
)

// Fault is a rule for requests. The first injected rule that applies decides;
// latencies add up, whatever the other rules do.
type Fault struct {
	// Match selects requests by service, operation and body; for S3, body is the
	// path. Nil selects all. Calls are serialized, so Match may keep state; it must
	// not call the front.
	Match func(service, op string, body []byte) bool

	Kind        Kind
	After       int           // this many matching requests pass first
	Count       int           // how often it happens at most; 0 is no limit
	Probability float64       // per matching request, between 0 and 1; 0 is always
	Latency     time.Duration // for Kind Latency
}

// Operation is a Match for one operation of a service.
func Operation(service, op string) func(string, string, []byte) bool {
	return func(s, o string, _ []byte) bool { return s == service && o == op }
}

// Service is a Match for all operations of a service.
func Service(service string) func(string, string, []byte) bool {
	return func(s, _ string, _ []byte) bool { return s == service }
}

// Injected is a fault that was applied to a request.
type Injected struct {
	At          time.Duration // since the front started
	Service, Op string
	Kind        Kind
}

// String formats the fault as a log line.
func (i Injected) String() string {
	return fmt.Sprintf("%8.3f s  %s.%s: %s", i.At.Seconds(), i.Service, i.Op, i.Kind)
}

type rule struct {
	Fault
	matched, happened int
}

// Inject enables a fault until the returned function is called.
func (f *Front) Inject(fault Fault) (remove func()) {
	if fault.Kind == none {
		panic("front: a fault without a Kind")
	}
	added := &rule{Fault: fault}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rules = slices.DeleteFunc(f.rules, func(r *rule) bool { return r == added })
	}
}

// Injected returns the faults that were applied, in order.
func (f *Front) Injected() []Injected {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.injected)
}

// judge decides what happens to a call.
func (f *Front) judge(c call) (kind Kind, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if kind != none && r.Kind != Latency || !f.applies(r, c) {
			continue
		}
		f.injected = append(f.injected, Injected{time.Since(f.began), c.service, c.op, r.Kind})
		if r.Kind == Latency {
			wait += r.Latency
		} else {
			kind = r.Kind
		}
	}
	return kind, wait
}

// applies is called with the lock held.
func (f *Front) applies(r *rule, c call) bool {
	if r.Count > 0 && r.happened >= r.Count || r.Match != nil && !r.Match(c.service, c.op, c.body) {
		return false
	}
	r.matched++
	if r.matched <= r.After || r.Probability > 0 && f.random.Float64() >= r.Probability {
		return false
	}
	r.happened++
	return true
}
