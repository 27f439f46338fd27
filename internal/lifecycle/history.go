package lifecycle

import (
	"context"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Entries returns an integration's log entries of the last 30 days, newest
// first, at most 50.
func (s *Service) Entries(ctx context.Context, tenant, id string) ([]integration.LogEntry, error) {
	entries, _, err := s.EntriesAfter(ctx, tenant, id, EntryQuery{Limit: maxEntries})
	return entries, err
}

// EntryQuery selects log entries.
type EntryQuery struct {
	Action integration.Action // "" for all
	After  string             // the next of an earlier call, "" for the newest
	Limit  int
}

// A call for the entries of one action looks at most at maxScanned of all, scanned at a
// time.
const (
	scanned    = 200
	maxScanned = 1000
)

// EntriesAfter returns an integration's log entries of the last 30 days, newest first, and
// where to go on, "" at the end. There may be fewer than the limit before the end. An After
// that it has not returned is problem.InvalidRequest.
func (s *Service) EntriesAfter(ctx context.Context, tenant, id string, q EntryQuery) (entries []integration.LogEntry, next string, err error) {
	in, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, "", err
	}
	oldest := s.now().Add(-EntryRetention)
	atOnce := scanned
	if q.Action == "" {
		atOnce = q.Limit + 1
	}
	last := q.After // the place of the last entry that was looked at
	for looked := 0; looked < maxScanned; looked += atOnce {
		batch, err := s.Store.EntriesAfter(ctx, store.HistoryOf(in), last, atOnce)
		if err != nil {
			return nil, "", err
		}
		for _, e := range batch {
			switch {
			case e.CreatedAt.Before(oldest):
				return entries, "", nil
			case q.Action != "" && e.Action != q.Action:
			case len(entries) == q.Limit:
				return entries, next, nil
			default:
				entries, next = append(entries, e.LogEntry), e.Place
			}
			last = e.Place
		}
		if len(batch) < atOnce {
			return entries, "", nil
		}
	}
	return entries, last, nil
}
