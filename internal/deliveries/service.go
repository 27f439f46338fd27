package deliveries

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// Integrations returns an integration, or problem.NotFound: lifecycle.Service.
type Integrations interface {
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
}

// Records has the delivery records: store.Store.
type Records interface {
	Deliveries(ctx context.Context, q Query) ([]Record, error)
}

// Log is what is read of the log: eventlog.Log.
type Log interface {
	Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error)
	Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error)
}

// Cursors returns a cursor with its newest failed attempts, or problem.NotFound:
// delivery.Engine.
type Cursors interface {
	Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)
}

// Service looks deliveries up. Every field but Reads is required. It is safe for concurrent use.
type Service struct {
	Integrations Integrations
	Records      Records
	Log          Log
	Cursors      Cursors
	Keep         time.Duration // how long delivery records are kept; 0 for none
	Now          func() time.Time
	Logger       *slog.Logger

	// Reads bounds the reads of the log, fairly between tenants. Nil for no bound.
	Reads *fairshare.Limiter

	leftOut atomic.Pointer[time.Time] // when it was last logged that a record is damaged
}

// At is where an event is in the log of its tenant.
type At struct {
	Lane int
	Place
}

// Delivery is what became of one event in one integration.
type Delivery struct {
	At
	Event    *event.Event // nil if the log does not have it any more
	Outcome  Outcome
	Attempts int
	First    time.Time     // when the first attempt began; zero if it is not known
	Last     time.Time     // when the last one began; zero if it is not known
	Took     time.Duration // of the last one; less than 0 if it is not known
	Status   int           // of the response to the last one; 0 if there was none, or it is not known
	Cause    string        // why the last one failed; "" if it did not, or it is not known
	File     string        // its key in the bucket; "" unless it is in a file
}

// Request is what a list is asked for. The zero value of a field asks for everything.
type Request struct {
	EventID   string // in lower case
	EventName string
	Outcome   Outcome
	From, To  time.Time // the last attempt began at or after From, and at or before To
	Limit     int       // at least 1
	After     string    // the next of the page before
}

// The bounds of the work of one call. One that reaches them returns what it has, and where
// the next call goes on.
const (
	maxRecords = 2000     // delivery records, of all sources together
	maxRead    = 16 << 20 // of the log, in bytes of bodies
)

// List returns deliveries of an integration, newest first: what is being retried, then what
// is recorded, in the order in which it was saved. next is where the following page begins,
// "" at the end; a page may have fewer deliveries than its limit, also none, and go on.
//
// Errors: NotFound; InvalidRequest if After is not the next of an earlier page.
func (s *Service) List(ctx context.Context, tenant, id string, q Request) (page []Delivery, next string, err error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return nil, "", err
	}
	from, err := decode(q.After)
	if err != nil {
		return nil, "", err
	}
	l := &list{service: s, in: in, request: &q, log: s.reader(tenant)}
	if q.EventID != "" && !from.given {
		if found, err := l.byID(ctx); found || err != nil {
			return l.page, "", err
		}
	}
	next, err = l.read(ctx, from)
	return l.page, next, err
}

// list is one call of List.
type list struct {
	service *Service
	in      *integration.Integration
	request *Request
	log     reader
	records int // read so far
	page    []Delivery
}

// read reads a page, and returns where it ended.
func (l *list) read(ctx context.Context, from mark) (next string, err error) {
	if !from.recorded {
		waiting, err := l.service.retrying(ctx, l.in, &l.log)
		if err != nil {
			return "", err
		}
		for i := range waiting {
			d := &waiting[i]
			if from.given && !from.at.before(d.At) || !l.passes(d) {
				continue
			}
			if len(l.page) == l.request.Limit {
				return mark{at: l.page[len(l.page)-1].At}.encode(), nil
			}
			l.page = append(l.page, *d)
		}
		from = mark{given: true, recorded: true}
	}
	if l.request.Outcome == Retrying || l.service.Keep <= 0 {
		return "", nil
	}
	return l.recorded(ctx, from)
}

// before is the order of what is being retried.
func (a At) before(other At) bool {
	return a.Lane < other.Lane || a.Lane == other.Lane && a.Place.Before(other.Place)
}

// fits reports whether a result passes the request, as far as the record says.
func (l *list) fits(outcome Outcome, last time.Time) bool {
	q := l.request
	switch {
	case q.Outcome != "" && q.Outcome != outcome:
		return false
	case !q.From.IsZero() && last.Before(q.From):
		return false
	}
	return q.To.IsZero() || !last.After(q.To)
}

// passes reports whether a delivery, whose event was looked up, passes the request.
func (l *list) passes(d *Delivery) bool {
	q := l.request
	switch {
	case !l.fits(d.Outcome, d.Last):
		return false
	case q.EventID != "" && (d.Event == nil || d.Event.ID != q.EventID):
		return false
	}
	return q.EventName == "" || d.Event != nil && d.Event.Name == q.EventName
}
