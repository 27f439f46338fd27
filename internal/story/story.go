// Package story tells what became of one event: for each integration of its tenant whether
// it was delivered and, if not, why not. It finds the event in the log, and compares its
// place there with where each integration is. It stores nothing.
package story

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/standing"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/usertext"
)

// Verdict is what became of an event for one integration, in one word.
type Verdict string

// The verdicts.
const (
	Delivered   Verdict = "delivered"
	Rejected    Verdict = "rejected"     // the receiver returned 400
	Skipped     Verdict = "skipped"      // by hand
	Retrying    Verdict = "retrying"     // it was tried, and failed
	Pending     Verdict = "pending"      // it will be sent
	Filtered    Verdict = "filtered"     // the filter does not pass it
	BeforeStart Verdict = "before_start" // published before what the integration gets
	AfterEnd    Verdict = "after_end"    // published after the end of the replay
	Stopped     Verdict = "stopped"      // it waits for a start
	Expired     Verdict = "expired"      // the integration was stopped for too long to get it
)

// Story is what became of one event.
type Story struct {
	Event        event.Event
	Integrations []Chapter // of those that there are now, by id
}

// Chapter is what became of the event for one integration.
type Chapter struct {
	ID      string
	Verdict Verdict
	Because string // a sentence for people, never with a secret
	// Delivery is what is recorded of its delivery; nil if nothing is.
	Delivery *deliveries.Delivery
}

// Integrations are those of a tenant: lifecycle.Service.
type Integrations interface {
	List(ctx context.Context, tenant string) ([]*integration.Integration, error)
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
}

// Records are read where a position alone does not tell what became of an event: store.Store.
type Records interface {
	standing.Partitions
	Rejected(ctx context.Context, h store.History, eventID string) (*integration.Rejected, error)
	EntriesAfter(ctx context.Context, h store.History, place string, limit int) ([]store.PlacedEntry, error)
}

// Deliveries finds what is recorded of the newest delivery of an event, or of its attempts; nil
// if nothing is: deliveries.Service.
type Deliveries interface {
	Find(ctx context.Context, in *integration.Integration, at deliveries.At, ev *event.Event) (*deliveries.Delivery, error)
}

// Service tells stories. It is safe for concurrent use.
type Service struct {
	Integrations Integrations
	Records      Records
	Deliveries   Deliveries
	Cursor       standing.Cursors
	Log          eventlog.Log
	Settings     settings.Settings // Retention and S3FileInterval
	// Lanes returns over how many lanes events are spread now: where an event is looked for first.
	Lanes func(ctx context.Context) event.Lanes
	Now   func() time.Time
	// Margin is how far published_at may be out of order in the log.
	Margin time.Duration
	// Reads bounds the reads of the log, fairly between tenants. Nil for no bound.
	Reads *fairshare.Limiter
}

// tellAtATime is how many integrations one call looks at at a time.
const tellAtATime = 16

// Tell tells the story of an event of a tenant. If the id was published more than once, it
// is that of the one published at Query.PublishedAt or next after it, else of the last one
// before; without that time, of the first one that the window has.
//
// Errors: NotFound; WindowRequired if neither the id nor the query says when it was
// published; WindowTooLarge if the log has more in that time than one call reads;
// InvalidRequest.
func (s *Service) Tell(ctx context.Context, tenant, id string, q Query) (*Story, error) {
	if !event.ValidID(id) {
		return nil, problem.New(problem.NotFound, "There is no event %q: the id of an event is a UUID.", usertext.Clip(id, 36))
	}
	w, err := windowOf(strings.ToLower(id), q)
	if err != nil {
		return nil, err
	}
	at, err := s.find(ctx, tenant, w)
	if err != nil {
		return nil, err
	}
	all, err := s.Integrations.List(ctx, tenant)
	if err != nil {
		return nil, err
	}
	look := standing.New(s.Records, s.Cursor)
	chapters := make([]*Chapter, len(all))
	var g errgroup.Group
	g.SetLimit(tellAtATime)
	for i, in := range all {
		g.Go(func() (err error) {
			chapters[i], err = s.chapter(ctx, look, in, at)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	told := &Story{Event: *at.event, Integrations: []Chapter{}}
	for _, c := range chapters {
		if c != nil {
			told.Integrations = append(told.Integrations, *c)
		}
	}
	return told, nil
}

// rereads is how often an integration is read again that has changed since it was read.
const rereads = 3

// chapter tells what became of an event for an integration; nil if that was deleted
// meanwhile.
func (s *Service) chapter(ctx context.Context, look *standing.Look, in *integration.Integration, at *place) (*Chapter, error) {
	k := handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: at.partition.Lane}
	f := &facts{service: s, in: in, place: at, now: s.Now()}
	for try := 0; k.Lane < f.in.Lanes; try++ {
		where, err := look.Find(ctx, k)
		if err == nil && where.Cursor.Generation != f.in.Generation && try < rereads {
			if f.in, err = s.Integrations.Get(ctx, in.Tenant, in.ID); err == nil {
				continue
			}
		}
		if problem.CodeOf(err) == problem.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		f.where = where
		if f.state, err = s.stateOf(ctx, where.AckState, at); err != nil {
			return nil, err
		}
		if f.delivery, err = s.Deliveries.Find(ctx, f.in, at.of(), at.event); err != nil {
			return nil, err
		}
		break
	}
	v, because, err := f.judge(ctx)
	return &Chapter{ID: in.ID, Verdict: v, Because: because, Delivery: f.delivery}, err
}
