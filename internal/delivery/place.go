package delivery

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// Kind is the kind of a step, by which a process bounds them: each needs something
// else.
type Kind int

// The kinds of steps.
const (
	CatchUp Kind = iota // sends to a receiver: holds two reads of the log
	Probe               // sends to a receiver that failed: holds an event, for as long as a call may take
	Export              // writes files: buffers a part of an upload
	Kinds               // how many there are
)

// kindOf returns the kind of a cursor's next step. A nil integration is not known.
func kindOf(in *integration.Integration, c *handoff.Cursor) Kind {
	switch {
	case in != nil && in.S3 != nil:
		return Export
	case c.Failures > 0:
		return Probe
	default:
		return CatchUp
	}
}

// Place is where a step runs, in a process that bounds them.
type Place struct {
	kind   Kind
	places *fairshare.Limiter
	tenant string
	held   bool
}

// NewPlace returns a place for a step of the kind, which the tenant has taken. Give
// it back after the step.
func NewPlace(kind Kind, places *fairshare.Limiter, tenant string) *Place {
	return &Place{kind: kind, places: places, tenant: tenant, held: true}
}

// GiveBack gives the place back, unless it is given back already.
func (p *Place) GiveBack() {
	if p.held {
		p.held = false
		p.places.Give(p.tenant)
	}
}

// take takes a place again that was given back. It waits for one until ctx ends.
func (p *Place) take(ctx context.Context) error {
	if p.held {
		return nil
	}
	err := p.places.Acquire(ctx, p.tenant)
	p.held = err == nil
	return err
}

// yieldAfter is how long a step may keep a place that another one waits for.
const yieldAfter = time.Second

// yield reports whether the step must end, as another one has or wants its place, or as
// it has become of another kind: a probe whose receiver responds reads more of the log.
func (s *step) yield() bool {
	p := s.place
	switch {
	case p == nil:
		return false
	case !p.held || p.kind != kindOf(s.in, s.cursor):
		return true
	default:
		return p.places.Waiting() > 0 && !s.engine.Now().Before(s.yields)
	}
}

// takePlace takes the step's place again if an earlier file's last request was repeated
// without it. It waits for one until ctx ends.
func (f *exportFile) takePlace(ctx context.Context) error {
	f.leaveCall()
	if f.place == nil {
		return nil
	}
	return f.place.take(ctx)
}

// leavePlace gives the step's place to another file once the parts are uploaded: to put
// them together may take the bucket minutes, but needs no memory here. It is a call
// until then. If there is no place for one, the file keeps the step's.
func (f *exportFile) leavePlace() {
	if f.place == nil || f.endCall != nil {
		return
	}
	if give, ok := f.target.TryReserve(); ok {
		f.endCall = give
		f.place.GiveBack()
	}
}

func (f *exportFile) leaveCall() {
	if f.endCall != nil {
		f.endCall()
		f.endCall = nil
	}
}
