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

	// Throttle answers with the service's own error of throttling; a transaction
	// of DynamoDB is canceled, which the SDK does not retry by itself. Of Kinesis'
	// PutRecords every other record is put and the rest are throttled, a single
	// one always.
	Throttle Kind = "throttle"

	// Conflict answers a write of DynamoDB with the error of a transaction that
	// holds the item; any other call is throttled.
	Conflict Kind = "conflict"

	// Error500 answers that the service failed.
	Error500 Kind = "500"

	// TimeoutAfterSuccess lets the call happen and cuts the connection without
	// an answer.
	TimeoutAfterSuccess Kind = "timeout after success"

	// Denied answers that the caller has no permission.
	Denied Kind = "denied"

	// Gone answers that the table, stream, bucket, key, queue, state machine or
	// function is not there.
	Gone Kind = "gone"

	// Latency lets the call happen after Fault.Latency.
	Latency Kind = "latency"
)

// Fault is a rule for requests. The first rule injected that applies decides;
// the time of those of Kind Latency adds up, whatever another does.
type Fault struct {
	// Match tells which requests are meant: by service, operation and body, which
	// of S3 is the path instead. Nil means all. It is called with nothing else under way, so
	// it may keep state, and must not call the front.
	Match func(service, op string, body []byte) bool

	Kind        Kind
	After       int           // so many that match go through first
	Count       int           // it happens at most so often; 0 is without limit
	Probability float64       // of each that matches, above 0 and below 1; 0 is always
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

// Injected is a fault that happened.
type Injected struct {
	At          time.Duration // since the front began
	Service, Op string
	Kind        Kind
}

// String is the line of it for a log.
func (i Injected) String() string {
	return fmt.Sprintf("%8.3f s  %s.%s: %s", i.At.Seconds(), i.Service, i.Op, i.Kind)
}

type rule struct {
	Fault
	matched, happened int
}

// Inject lets a fault happen from now on, until the function returned is called.
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

// Injected returns the faults that happened, in their order.
func (f *Front) Injected() []Injected {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.injected)
}

// judge tells what happens to a call.
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
