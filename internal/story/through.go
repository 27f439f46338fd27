package story

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// entriesRead is how many entries of an integration's log are looked at, the newest first.
const entriesRead = store.EntriesKept

// through tells of an event that the integration is past. That means delivered, unless
// something says otherwise: a delivery record, the list of rejected events, the filter, or the
// log of the integration, which has what was rejected or skipped, and where the position was
// moved. They are read after the position: what it is past was recorded before.
func (f *facts) through(ctx context.Context) (Verdict, string, error) {
	listed, err := f.listed(ctx)
	if err != nil {
		return "", "", err
	}
	d, published := f.delivery, f.place.event.PublishedAt
	own := listed != nil && listed.Event.PublishedAt.Equal(published)
	taken := d != nil && d.Outcome == deliveries.Delivered
	switch {
	case taken && !(own && listed.CreatedAt.After(d.Last)):
		return Delivered, recorded(d), nil
	case own || d == nil && listed != nil && listed.Event.PublishedAt.Before(published):
		v, because := f.inList(listed)
		return v, because, nil
	}
	entries, err := f.service.Records.EntriesAfter(ctx, store.HistoryOf(f.in), "", entriesRead)
	if err != nil {
		return "", "", err
	}
	h := history{facts: f, listed: listed}
	v, because := h.read(entries)
	return v, because, nil
}

// listed returns the rejected event with this id, nil if there is none.
func (f *facts) listed(ctx context.Context) (*integration.Rejected, error) {
	r, err := f.service.Records.Rejected(ctx, store.HistoryOf(f.in), f.place.event.ID)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, nil
	}
	return r, err
}

// inList tells of an event that is in the list of rejected events, or whose id is: the list
// has an id once, with the event that came first.
func (f *facts) inList(r *integration.Rejected) (Verdict, string) {
	switch at := event.FormatTime(r.CreatedAt); {
	case !r.Event.PublishedAt.Equal(f.place.event.PublishedAt):
		return Rejected, fmt.Sprintf("An event with the same id, published at %s, is in the list of rejected events, which has an id once only.", event.FormatTime(r.Event.PublishedAt))
	case r.Reason == integration.ReasonSkipped:
		return Skipped, fmt.Sprintf("It was skipped via API at %s, after %s; it is in the list of rejected events.", at, count(r.Attempts, "failed attempt"))
	case r.Status == 0:
		return Rejected, fmt.Sprintf("The receiver rejected it at %s; it is in the list of rejected events.", at)
	default:
		return Rejected, fmt.Sprintf("The receiver rejected it at %s (HTTP status code %d); it is in the list of rejected events.", at, r.Status)
	}
}

// recorded says what a delivery record says.
func recorded(d *deliveries.Delivery) string {
	when := ""
	if !d.Last.IsZero() {
		when = " at " + event.FormatTime(d.Last)
	}
	switch {
	case d.File != "":
		return fmt.Sprintf("It is in the file %s, which was begun%s.", d.File, when)
	case d.Outcome == deliveries.Delivered:
		return fmt.Sprintf("The receiver took it%s, at attempt %d (HTTP status code %d).", when, d.Attempts, d.Status)
	case d.Outcome == deliveries.Skipped:
		return fmt.Sprintf("It was skipped via API after %s, and is no longer in the list of rejected events.", count(d.Attempts, "failed attempt"))
	default:
		return fmt.Sprintf("The receiver rejected it%s (HTTP status code %d); it is no longer in the list of rejected events.", when, d.Status)
	}
}
