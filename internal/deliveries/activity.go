package deliveries

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/integration"
)

// Activity is what was sent to an integration in the last 24 hours of the clock, in UTC. The
// last hour is the present one.
type Activity struct {
	// Since is from when on everything is counted: the beginning of the first hour or later, if
	// there was more to read than a call reads, or if a record is damaged.
	Since    time.Time
	Complete bool // Since is the beginning of the first hour
	Hours    Hours
}

// Limits of one call, once for the records of live delivery and once for the integrations' own:
// so many records and about so many bytes, in equal shares. Each source is read once, and has
// leastCounted records.
const (
	maxCounted      = 10_000
	maxCountedBytes = 4 << 20
	leastCounted    = 20
)

// countsAtATime is how many sources one call reads at a time.
const countsAtATime = 16

// Activity counts what was sent to some integrations of a tenant; nil for all of them if no
// records are kept. It reads the records of live delivery in each lane once, and the own ones
// of each integration, the newest first. A failed attempt counts once its event is through. A
// record that cannot be decoded is left out and logged.
func (s *Service) Activity(ctx context.Context, tenant string, all []*integration.Integration) ([]*Activity, error) {
	found := make([]*Activity, len(all))
	if s.Keep <= 0 {
		return found, nil
	}
	now := s.Now().UTC()
	first := now.Truncate(time.Hour).Add(-(HoursCounted - 1) * time.Hour)
	from := first
	if kept := now.Add(-s.Keep); kept.After(from) {
		from = kept
	}
	lanes, sources := 0, 0
	for i, in := range all {
		found[i] = &Activity{Since: from}
		lanes, sources = max(lanes, in.Lanes), sources+in.Lanes
	}
	live := &counting{service: s, from: from, first: first}
	live.share(lanes)
	if err := live.live(ctx, tenant, lanes, all, found); err != nil {
		return nil, err
	}
	own := &counting{service: s, from: from, first: first}
	own.share(sources)
	if err := own.own(ctx, tenant, all, found); err != nil {
		return nil, err
	}
	for _, a := range found {
		a.Complete = a.Since.Equal(first)
	}
	return found, nil
}

// counting is a look at records of some sources.
type counting struct {
	service     *Service
	from, first time.Time // the first record, and the first hour
	records     int       // of one source at most
	bytes       int       // of one source, after which no more is read
}

// share gives each source as much of what a call reads.
func (c *counting) share(sources int) {
	c.records = max(maxCounted/max(sources, 1), leastCounted)
	c.bytes = maxCountedBytes / max(sources, 1)
}

// live counts what live delivery has sent.
func (c *counting) live(ctx context.Context, tenant string, lanes int, all []*integration.Integration, found []*Activity) error {
	of := make(map[incarnation]*Hours, len(all))
	for i, in := range all {
		of[incarnation{in.ID, in.Incarnation}] = &found[i].Hours
	}
	for lane := range lanes {
		reached, err := c.source(ctx, tenant, "", lane, of)
		if err != nil {
			return err
		}
		for i, in := range all {
			if lane < in.Lanes && reached.After(found[i].Since) {
				found[i].Since = reached
			}
		}
	}
	return nil
}

// own counts what each integration got while it was not live.
func (c *counting) own(ctx context.Context, tenant string, all []*integration.Integration, found []*Activity) error {
	var g errgroup.Group
	g.SetLimit(countsAtATime)
	for i, in := range all {
		g.Go(func() error {
			of := map[incarnation]*Hours{{in.ID, in.Incarnation}: &found[i].Hours}
			for lane := range in.Lanes {
				reached, err := c.source(ctx, tenant, in.ID, lane, of)
				if err != nil {
					return err
				}
				if reached.After(found[i].Since) {
					found[i].Since = reached
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// source counts the records of a source, and returns from when on it has counted all: the
// zero time if it came to the first one, and could decode each.
func (c *counting) source(ctx context.Context, tenant, id string, lane int, of map[incarnation]*Hours) (reached time.Time, err error) {
	q := c.service.query(tenant, id, source{lane, id != ""})
	q.From = c.from
	counter := &counter{since: c.first.UnixMilli(), of: of}
	bytes := 0
	var whole time.Time // what is newer than all that is damaged
	for left := c.records; ; left -= q.Limit {
		switch late := ends(ctx); {
		case late && q.Before.IsZero(): // nothing was read
			return c.service.Now(), nil
		case late || left <= 0 || bytes > c.bytes:
			return later(q.Before, whole), nil
		}
		q.Limit = min(left, readAhead)
		records, err := c.service.Records.Deliveries(ctx, q)
		if err != nil {
			return reached, err
		}
		for i := range records {
			if err := records[i].count(counter); err != nil {
				c.service.leaveOut(ctx, &records[i], counter, err)
				whole = later(whole, records[i].At.Add(time.Millisecond))
			}
			bytes += len(records[i].Data)
		}
		if len(records) < q.Limit {
			return whole, nil
		}
		q.Before = records[len(records)-1].At
	}
}

// ends reports whether the call must end.
func ends(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < deadlineReserve
}

// leaveOut takes back what was counted of a record before it turned out to be damaged. The
// console asks every few seconds, so that is logged once a minute at most.
func (s *Service) leaveOut(ctx context.Context, r *Record, c *counter, err error) {
	c.back = true
	_ = r.count(c) // as far as before
	c.back = false
	now := s.Now()
	if last := s.leftOut.Load(); last != nil && now.Sub(*last) < logEvery && !now.Before(*last) {
		return
	}
	s.leftOut.Store(&now)
	s.Logger.ErrorContext(ctx, "a delivery record is left out of what was sent by the hour",
		"tenant", r.Partition.Tenant, "lane", r.Partition.Lane, "at", r.At, "error", err)
}

// logEvery is how often at most damaged records are logged.
const logEvery = time.Minute

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
