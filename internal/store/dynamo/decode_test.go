package dynamo

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// A rejected event comes back as it was kept; an item with no event or several is
// damaged, and so is one without a document.
func TestRejectedEventComesBackAsItWasKept(t *testing.T) {
	at := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	d := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "a.b", Payload: []byte(`{"a":1}`)}
	kept := integration.Rejected{Event: d.Stamp("a", at), CreatedAt: at, Attempts: 2, RetryUntil: at.Add(time.Minute)}
	h := store.History{Tenant: "a", Integration: "hook", Incarnation: 1}
	item := func() *item {
		it, err := newRejected(rejectedKey(h, d.ID), &kept)
		if err != nil {
			t.Fatal(err)
		}
		it.Version = 7
		return it
	}
	r, err := item().rejected("a")
	if err != nil || r.Version != 7 || r.Event.ID != d.ID || string(r.Event.Body) != string(kept.Event.Body) ||
		r.Attempts != 2 || !r.CreatedAt.Equal(at) || !r.RetryUntil.Equal(kept.RetryUntil) {
		t.Errorf("got %+v, %v, want %+v", r, err, kept)
	}
	two := item()
	two.Event = eventlog.AppendSegment(nil, []event.Event{kept.Event, kept.Event})
	none := item()
	none.Event = nil
	empty := item()
	empty.Doc = ""
	unversioned := item()
	unversioned.Version = 0
	for name, it := range map[string]struct {
		rejected func(string) (*integration.Rejected, error)
		want     string
	}{
		"two events": {two.rejected, "damaged"}, "no event": {none.rejected, "damaged"},
		"no document": {empty.rejected, "has no doc"}, "no version": {unversioned.rejected, "has no version"},
	} {
		if _, err := it.rejected("a"); problem.CodeOf(err) != problem.Internal || !strings.Contains(err.Error(), it.want) {
			t.Errorf("%s: got %v, want an internal error: %s", name, err, it.want)
		}
	}
}

// A write that has a condition never goes out without it: it is what keeps two actors
// apart.
func TestConditionsOfWrites(t *testing.T) {
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"new":            {change{conditional: true}, "attribute_not_exists"},
		"of a version":   {change{conditional: true, must: 5}, "="},
		"unconditional":  {change{}, ""},
		"with a version": {change{must: 5}, ""},
	} {
		e, err := c.change.condition()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := ""
		if e.Condition() != nil {
			got = *e.Condition()
		}
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the condition is %q, want one with %q", name, got, c.want)
		}
	}
}
