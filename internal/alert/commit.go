package alert

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// commit is one attempt at a Commit with alerts. It changes copies of the given records:
// after a conflict they must be as they were.
type commit struct {
	store *Store
	now   time.Time
	given []store.Write

	writes  []store.Write
	adopts  []func()                   // each gives a caller's record what was committed
	read    []*integration.Integration // as stored: those that the given writes lack
	alerts  []*store.Alert
	records // as they are after the commit
}

// records are those of a commit, by their keys.
type records struct {
	integrations map[name]*integration.Integration
	cursors      map[handoff.Key]*handoff.Cursor
	partitions   map[event.Partition]*handoff.PartitionState
}

// build computes the writes with the alerts of the integrations that are concerned.
func (c *commit) build(ctx context.Context, concerned []name) error {
	c.copyGiven()
	for _, n := range concerned {
		if err := c.add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// copyGiven copies the given writes, and those records that alerts may change.
func (c *commit) copyGiven() {
	c.records = records{map[name]*integration.Integration{}, map[handoff.Key]*handoff.Cursor{}, map[event.Partition]*handoff.PartitionState{}}
	for _, w := range c.given {
		switch w := w.(type) {
		case store.PutIntegration:
			in := *w.Integration
			c.integrations[name{in.Tenant, in.ID}] = &in
			c.adopts = append(c.adopts, func() { *w.Integration = in })
			c.writes = append(c.writes, store.PutIntegration{Integration: &in})
		case store.PutCursor:
			cursor := *w.Cursor
			c.cursors[cursor.Key] = &cursor
			c.adopts = append(c.adopts, func() { *w.Cursor = cursor })
			c.writes = append(c.writes, store.PutCursor{Cursor: &cursor, KeepDue: w.KeepDue})
		case store.PutPartition:
			c.partitions[w.State.Partition] = w.State
			c.writes = append(c.writes, w)
		case store.DeleteIntegration:
			c.writes = append(c.writes, w)
			c.dropClosing(w.Integration)
		default:
			c.writes = append(c.writes, w)
		}
	}
}

// dropClosing removes the alert that waits for the restart window of an integration, if
// there is one.
func (c *commit) dropClosing(in *integration.Integration) {
	if n := in.Alerts.Closing; n != 0 {
		c.writes = append(c.writes, store.DeleteAlert{Alert: &store.Alert{History: store.HistoryOf(in), Number: n}})
	}
}

// adopt gives the caller's records what was committed.
func (c *commit) adopt() {
	for _, adopt := range c.adopts {
		adopt()
	}
}

// outdated reports whether an integration that the commit read itself has changed.
func (c *commit) outdated(ctx context.Context) bool {
	for _, in := range c.read {
		now, err := c.store.Integration(ctx, in.Tenant, in.ID)
		if problem.CodeOf(err) == problem.NotFound || err == nil && now.Version != in.Version {
			return true
		}
	}
	return false
}

// add adds what there is to tell of one integration.
func (c *commit) add(ctx context.Context, n name) error {
	marks, incarnation := c.marks(n)
	in := c.integrations[n]
	if in == nil {
		stored, err := c.store.integrationOf(ctx, n, incarnation)
		if err != nil || stored == nil {
			return err
		}
		c.read = append(c.read, stored)
		changed := *stored
		in = &changed
	}
	was := in.Alerts
	before := c.noteCursors(in)
	kinds := c.kinds(in, marks, before)
	if err := c.tell(ctx, in, kinds); err != nil {
		return err
	}
	c.noteTrouble(in)
	if in.Alerts != was && c.integrations[n] == nil {
		c.writes = append(c.writes, store.PutIntegration{Integration: in})
	}
	return nil
}

// marks returns what the log entries of an integration say to an operator, and its
// incarnation, 0 if there are none.
func (c *commit) marks(n name) (marks []integration.AlertKind, incarnation uint64) {
	for _, w := range c.given {
		if w, ok := w.(store.AddEntry); ok && w.History.Tenant == n.tenant && w.History.Integration == n.id {
			incarnation = w.History.Incarnation
			if w.Alert != "" {
				marks = append(marks, w.Alert)
			}
		}
	}
	return marks, incarnation
}

// noteCursors notes in the integration and in its cursors what is told of the cursors, and
// returns the trouble that was told before.
func (c *commit) noteCursors(in *integration.Integration) (before integration.AlertKind) {
	before = in.Alerts.Trouble()
	started := c.starts(in)
	for k, cursor := range c.cursors {
		if k.Tenant != in.Tenant || k.Integration != in.ID {
			continue
		}
		told := c.store.conditions(cursor)
		recovered := cursor.Told&handoff.ToldFailing != 0 && told&handoff.ToldFailing == 0
		if recovered && in.Running || started && cursor.Version != 0 {
			cursor.LagFrom, cursor.Lagging = c.now, false
			told &^= handoff.ToldLagging
		}
		cursor.Told = told
		in.Alerts.Failing = withLane(in.Alerts.Failing, k.Lane, told&handoff.ToldFailing != 0)
		in.Alerts.Lagging = withLane(in.Alerts.Lagging, k.Lane, told&handoff.ToldLagging != 0)
	}
	return before
}

func withLane(lanes uint32, lane int, in bool) uint32 {
	if in {
		return lanes | 1<<lane
	}
	return lanes &^ (1 << lane)
}

// starts reports whether the commit starts the integration.
func (c *commit) starts(in *integration.Integration) bool {
	for _, w := range c.given {
		if w, ok := w.(store.AddEntry); ok && w.Entry.Action == integration.ActionStarted && w.History == store.HistoryOf(in) {
			return true
		}
	}
	return false
}

// kinds returns what there is to tell: that the trouble is another than before, and what
// the log entries say.
func (c *commit) kinds(in *integration.Integration, marks []integration.AlertKind, before integration.AlertKind) (kinds []integration.AlertKind) {
	switch now := in.Alerts.Trouble(); {
	case !in.Running || now == before:
	case now == "":
		kinds = append(kinds, integration.AlertRecovered)
	default:
		kinds = append(kinds, now)
	}
	return append(kinds, marks...)
}

// tell adds an alert of each kind, and what goes with a stop and a start.
func (c *commit) tell(ctx context.Context, in *integration.Integration, kinds []integration.AlertKind) error {
	a := &in.Alerts
	if in.Running && a.Closing != 0 { // it was started: nothing closes any more
		c.dropClosing(in)
		a.Closing, a.RejectingAt = 0, time.Time{}
	}
	if len(kinds) == 0 {
		return nil
	}
	h, body, err := c.health(ctx, in)
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if kind == integration.AlertRejecting {
			again := h == nil || h.LastDeliveredAt.After(a.RejectingAt)
			if !a.RejectingAt.IsZero() && (!again || c.now.Sub(a.RejectingAt) < rejectingEvery) {
				continue // it was told, by this process or an earlier one
			}
			a.RejectingAt = c.now
		}
		c.put(in, store.Alert{Kind: kind, At: c.now, DueAt: c.now.Add(c.store.Lease), Payload: body})
		if kind == integration.AlertStopped {
			closing := closingAt(in, &c.store.Settings)
			a.Closing = c.put(in, store.Alert{Kind: integration.AlertWindowClosing, At: closing, DueAt: closing})
		}
	}
	return nil
}

// noteTrouble notes in the integration since when it is in trouble, by which stores list it.
// What has failed until it was stopped still is: nothing reaches its receiver.
func (c *commit) noteTrouble(in *integration.Integration) {
	a := &in.Alerts
	switch {
	case in.Running && a.Trouble() == "", !in.Running && in.StoppedBy != integration.StoppedAfterFailing:
		a.Since = time.Time{}
	case a.Since.IsZero():
		a.Since = c.now
	}
}

// perCommit is more alerts than a Commit has of an integration. Their numbers begin with the
// version of the record: an older release that writes the record forgets the last number,
// and one that is taken must not be used again.
const perCommit = 16

// rejectingEvery is how often at most an integration is told to reject everything.
const rejectingEvery = time.Hour

// healthTimeout limits the reads for the payload: the change itself has little time.
const healthTimeout = time.Second

// put adds an alert and returns its number.
func (c *commit) put(in *integration.Integration, a store.Alert) uint64 {
	if in.Alerts.Number == 0 {
		in.Alerts.Number = in.Version * perCommit
	}
	in.Alerts.Number++
	a.History, a.Number = store.HistoryOf(in), in.Alerts.Number
	c.writes = append(c.writes, store.PutAlert{Alert: &a})
	if a.Payload != nil {
		c.alerts = append(c.alerts, &a)
	}
	return a.Number
}

// health returns how the integration is doing once the commit is made, and the payload of
// alerts that says so. What cannot be found out now is null in it: the change itself must
// not fail for that.
func (c *commit) health(ctx context.Context, in *integration.Integration) (*health.Health, []byte, error) {
	s := c.store
	service := &health.Service{Partitions: after{c}, Log: s.Log, Settings: s.Settings, Now: s.Now, Cursor: after{c}.Cursor}
	var h *health.Health
	reading, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	found, err := service.Of(reading, in)
	if err != nil {
		s.Logger.WarnContext(ctx, "an alert is without health", "tenant", in.Tenant, "integration", in.ID, "error", err)
	} else {
		h = found[0]
	}
	body, err := payloadOf(in, h)
	return h, body, err
}

// after reads records as they are after a commit.
type after struct{ c *commit }

// Partition implements health.Partitions.
func (a after) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	if state := a.c.partitions[p]; state != nil {
		return state, nil
	}
	return a.c.store.Partition(ctx, p)
}

// Cursor returns a cursor, or problem.NotFound.
func (a after) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	if c := a.c.cursors[k]; c != nil {
		return c, nil
	}
	return a.c.store.Newest(ctx, k)
}
