package memory

import (
	"bytes"
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
)

// deliveriesKey names the delivery records of live delivery, or of one integration, in a
// partition.
type deliveriesKey struct {
	partition   event.Partition
	integration string
}

func (s *Store) addDeliveries(r deliveries.Record) {
	k := deliveriesKey{r.Partition, r.Integration}
	all := s.deliveries[k]
	if n := len(all); n > 0 && !r.At.After(all[n-1].At) {
		r.At = all[n-1].At.Add(1)
	}
	s.deliveries[k] = append(all, cloneRecord(r))
}

// Deliveries implements store.Store.
func (s *Store) Deliveries(ctx context.Context, q deliveries.Query) ([]deliveries.Record, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []deliveries.Record
	for _, r := range s.deliveries[deliveriesKey{q.Partition, q.Integration}] {
		switch {
		case r.At.Before(q.From), !q.Before.IsZero() && !r.At.Before(q.Before):
		case r.Last < q.Through, q.Within > 0 && r.First > q.Within:
		default:
			found = append(found, cloneRecord(r))
		}
	}
	if !q.Oldest {
		slices.Reverse(found)
	}
	return found[:min(len(found), max(q.Limit, 0))], nil
}

func cloneRecord(r deliveries.Record) deliveries.Record {
	r.Data = bytes.Clone(r.Data)
	return r
}
