package dynamo_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/dynamo"
)

// lossy returns a store whose first response is lost; meanwhile runs before the
// client retries.
func lossy(tb table, meanwhile func(), again func(*call)) (*dynamo.Store, *wire) {
	w := &wire{}
	s := tb.via(w)
	w.change = func(c *call) (*http.Response, error) {
		if c.number == 1 {
			res, err := c.lose()
			meanwhile()
			return res, err
		}
		if c.number == 2 {
			again(c)
		}
		return c.pass()
	}
	return s, w
}

func nothing()           {}
func unchanged(*call)    {}
func otherToken(c *call) { c.body["ClientRequestToken"] = rand.Text() }

// The client repeats a write whose response is lost, and the write does not
// conflict with itself.
func TestLostResponses(t *testing.T) {
	t.Parallel()
	partition := event.Partition{Tenant: "a"}
	record := func() *handoff.PartitionState { return &handoff.PartitionState{Partition: partition, LowWatermark: 7} }
	cursor := func() *handoff.Cursor { return &handoff.Cursor{Key: handoff.Key{Tenant: "a", Integration: "hook"}} }
	for name, again := range map[string]func(*call){"soon": unchanged, "when its token is forgotten": otherToken} {
		t.Run("a transaction "+name, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			s, w := lossy(tb, nothing, again)
			gone := cursor()
			gone.Key.Integration = "gone"
			commit(t, tb.store(), store.PutCursor{Cursor: gone})
			r, c := record(), cursor()
			commit(t, s, store.DeleteCursor{Cursor: gone}, store.PutPartition{State: r}, entry(life, "once", base), store.PutCursor{Cursor: c})
			if got := w.count(); got != "[TransactWriteItems:2]" {
				t.Errorf("it took %s", got)
			}
			stored, err := s.Partition(t.Context(), partition)
			if err != nil || stored.Version != r.Version || r.Version == 0 {
				t.Errorf("the record is of version %d, stored is %+v, %v", r.Version, stored, err)
			}
			if entries, err := s.Entries(t.Context(), life, 9); err != nil || reasons(entries) != "once" {
				t.Errorf("entries %v, %v", entries, err)
			}
			commit(t, s, store.PutPartition{State: r}, store.PutCursor{Cursor: c})
		})
	}
	t.Run("a put", func(t *testing.T) {
		t.Parallel()
		tb := newTable(t)
		s, w := lossy(tb, nothing, unchanged)
		r := record()
		commit(t, s, store.PutPartition{State: r})
		if got := w.count(); got != "[PutItem:2]" {
			t.Errorf("it took %s", got)
		}
		commit(t, s, store.PutPartition{State: r}) // its version is known
	})
	t.Run("a put of an entry", func(t *testing.T) {
		t.Parallel()
		s, _ := lossy(newTable(t), nothing, unchanged)
		commit(t, s, entry(life, "once", base))
		if entries, err := s.Entries(t.Context(), life, 9); err != nil || reasons(entries) != "once" {
			t.Errorf("entries %v, %v", entries, err)
		}
	})
}

// If another writer was faster than the retry, it is a conflict.
func TestLostResponsesAndAnother(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	partition := event.Partition{Tenant: "a"}
	other := func() {
		s := tb.store()
		r, err := s.Partition(t.Context(), partition)
		if err != nil || r.LowWatermark != 7 {
			t.Errorf("the lost write is not there: %+v, %v", r, err)
		}
		r.LowWatermark = 8
		commit(t, s, store.PutPartition{State: r})
	}
	s, _ := lossy(tb, other, unchanged)
	r := &handoff.PartitionState{Partition: partition, LowWatermark: 7}
	if err := s.Commit(t.Context(), store.PutPartition{State: r}); !errors.Is(err, store.ErrConflict) || r.Version != 0 {
		t.Errorf("Commit: %v, version %d, want a conflict and no version", err, r.Version)
	}
}
