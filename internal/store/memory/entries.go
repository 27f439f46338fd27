package memory

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Entries implements store.Store.
func (s *Store) Entries(ctx context.Context, h store.History, limit int) ([]integration.LogEntry, error) {
	placed, err := s.EntriesAfter(ctx, h, "", limit)
	var entries []integration.LogEntry
	for _, e := range placed {
		entries = append(entries, e.LogEntry)
	}
	return entries, err
}

// EntriesAfter implements store.Store. A place is the number of an entry in its history.
func (s *Store) EntriesAfter(ctx context.Context, h store.History, place string, limit int) ([]store.PlacedEntry, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var entries []store.PlacedEntry
	if life := s.histories[h]; life != nil {
		for i, e := range life.entries {
			entries = append(entries, store.PlacedEntry{LogEntry: e, Place: strconv.Itoa(i)})
		}
	}
	slices.SortFunc(entries, func(a, b store.PlacedEntry) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(number(b.Place), number(a.Place)))
	})
	if place != "" {
		if number(place) < 0 {
			return nil, store.ErrPlace
		}
		at := slices.IndexFunc(entries, func(e store.PlacedEntry) bool { return e.Place == place })
		entries = entries[at+1:]
	}
	return entries[:min(len(entries), max(limit, 0))], nil
}

// number returns a place as a number, -1 if it is none.
func number(place string) int {
	n, err := strconv.Atoi(place)
	if err != nil {
		return -1
	}
	return n
}
