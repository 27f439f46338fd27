package sqlite

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

const entriesQuery = "SELECT data, created_at, id FROM entries AS x" + ofHistory + notDeleted +
	" AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?"

// Entries implements store.Store.
func (s *Store) Entries(ctx context.Context, h store.History, limit int) ([]integration.LogEntry, error) {
	placed, err := s.EntriesAfter(ctx, h, "", limit)
	var entries []integration.LogEntry
	for _, e := range placed {
		entries = append(entries, e.LogEntry)
	}
	return entries, err
}

// EntriesAfter implements store.Store. A place is the time and the number of a row.
func (s *Store) EntriesAfter(ctx context.Context, h store.History, place string, limit int) ([]store.PlacedEntry, error) {
	createdAt, id := int64(math.MaxInt64), int64(math.MaxInt64)
	if place != "" {
		at, row, _ := strings.Cut(place, ".")
		var err1, err2 error
		createdAt, err1 = strconv.ParseInt(at, 10, 64)
		id, err2 = strconv.ParseInt(row, 10, 64)
		if err1 != nil || err2 != nil {
			return nil, store.ErrPlace
		}
	}
	var entries []store.PlacedEntry
	err := s.each(ctx, entriesQuery, append(historyArgs(h), createdAt, id, max(limit, 0)), func(scan func(...any) error) error {
		var data []byte
		if err := scan(&data, &createdAt, &id); err != nil {
			return err
		}
		e := store.PlacedEntry{Place: fmt.Sprintf("%d.%d", createdAt, id)}
		if err := decode(data, &e.LogEntry); err != nil {
			return err
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}
