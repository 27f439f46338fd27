// Package pull reads the events of an integration from the log, for clients that ask
// for them. It moves nothing: where a client is, it keeps itself, as a position.
package pull

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// The limits of one call.
const (
	MaxEvents = 1000
	MaxBytes  = 5 << 20 // of the events' bodies; at most Settings.MaxPublishBytes
	MaxWait   = 20 * time.Second
)

const (
	// maxScanned bounds what one call reads of the log, in bytes of bodies, where the
	// filter drops most of it. The next call goes on from there.
	maxScanned = 4 * MaxBytes
	readBytes  = 1 << 20   // of one read, of all lanes together
	leastRead  = 128 << 10 // of one lane
)

// deadlineReserve is how long before the deadline of its context a call ends its wait.
const deadlineReserve = 5 * time.Second

// edgeGrace is how much older than the retention the next event of a position may be.
// A client that began with the oldest events must not lose its place to the time between
// two calls; the log keeps events for longer than that.
const edgeGrace = time.Hour

// Integrations returns an integration, or problem.NotFound: lifecycle.Service.
type Integrations interface {
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
}

// Service reads pages of events. It is safe for concurrent use.
type Service struct {
	Integrations Integrations
	Log          eventlog.Log
	Settings     settings.Settings // Lanes, Retention and MaxPublishBytes
	Now          func() time.Time

	// Waiters wakes calls that wait. If it is nil, they look at the log now and then.
	Waiters *Waiters
	// Waits bounds the calls that wait, and Reads the reads of the log, fairly between
	// tenants. Nil for no bound.
	Waits, Reads *fairshare.Limiter
}

// Query is what a call asks for.
type Query struct {
	Position string // as the client gave it; "" is earliest
	Limit    int    // events, from 1 to MaxEvents
	// Wait is how long to wait for an event if there is none, at most MaxWait. The wait
	// is shorter where the deadline of the context asks for it.
	Wait time.Duration
	// Grow makes room for so many bytes of the page in all, or returns false.
	Grow func(bytes int64) bool
}

// Page is a run of events.
type Page struct {
	Lines  []byte // the events' bodies, each with a newline at its end
	Events int
	Next   string // the position after them
	AtEnd  bool   // there were no more
	// Lost is how many events at this place of the log can never be read: their
	// segment is damaged.
	Lost int
}

// ErrNoRoom is returned if Query.Grow leaves no room for a single event.
var ErrNoRoom = problem.New(problem.Unavailable, "There is no memory for the events at present. Try again later, and with a lower limit.")

// Pull returns the events of an integration that pass its filter, from a position on: at
// most Query.Limit and MaxBytes of them, but at least one if there is one, unless so much
// was filtered out that the next call must go on. Events of one lane are in the order of
// the log, those of several by published_at as far as that is in order.
//
// Errors: NotFound, also for an integration that is deleted while the call waits;
// InvalidPosition; PositionExpired; TooManyRequests if too many calls wait; ErrNoRoom.
func (s *Service) Pull(ctx context.Context, tenant, id string, q Query) (*Page, error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	at, err := s.locate(ctx, in, q.Position)
	if err != nil {
		return nil, err
	}
	if q.Wait <= 0 {
		return s.page(ctx, in, at, &q)
	}
	return s.await(ctx, in, at, &q)
}

// page reads one page, and moves the place past it.
func (s *Service) page(ctx context.Context, in *integration.Integration, at *place, q *Query) (*Page, error) {
	r := &reader{service: s, in: in, place: at, filter: filterOf(in)}
	p := &Page{}
	for {
		l, err := r.next(ctx)
		if err != nil {
			return nil, err
		}
		if l == nil {
			p.AtEnd = !r.more
			break
		}
		e := l.event()
		if p.Events == q.Limit || p.Events > 0 && len(p.Lines)+len(e.Body) >= s.maxBytes() {
			break
		}
		if !p.add(e, q.Grow) {
			if p.Events == 0 {
				return nil, ErrNoRoom
			}
			break
		}
		l.at.Index++
	}
	p.Lost, p.Next = r.lost, at.token(in)
	return p, nil
}

// filterOf returns the filter of an integration. A start that moved on its deliveries does
// not move its clients: they get what those leave out.
func filterOf(in *integration.Integration) event.Filter {
	f := in.EventFilter()
	if in.StartsAt.Before(f.From) {
		f.From = in.StartsAt
	}
	return f
}

func (s *Service) maxBytes() int { return int(min(MaxBytes, s.Settings.MaxPublishBytes)) }

// firstRoom is the least room for the lines of a page.
const firstRoom = 16 << 10

// add appends an event if there is room for it. The lines are a copy: a few events would
// otherwise keep all that was read in memory.
func (p *Page) add(e *event.Event, grow func(int64) bool) bool {
	if need := len(p.Lines) + len(e.Body) + 1; need > cap(p.Lines) {
		room := max(need, 2*cap(p.Lines), firstRoom)
		if !grow(int64(room)) {
			return false
		}
		p.Lines = append(make([]byte, 0, room), p.Lines...)
	}
	p.Lines = append(append(p.Lines, e.Body...), '\n')
	p.Events++
	return true
}

// place is where a client is in the log: an offset in each lane.
type place struct {
	from  time.Time // events published before it are left out
	lanes []handoff.Offset
	// known is how many lanes came with the position. What follows in them must still
	// be there. The other lanes were searched for now, or are new.
	known   int
	checked bool // the known lanes are within the log
}
