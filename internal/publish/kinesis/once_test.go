package kinesis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
)

// claims are keys as a table keeps them. While one is held, it is nobody else's.
type claims struct {
	held    map[string]*idempotency.Claim
	taken   map[string]bool
	settled int
	lost    bool // what is settled does not arrive
	until   time.Time
}

func (c *claims) Take(_ context.Context, k idempotency.Key, until time.Time) (idempotency.Claim, error) {
	c.until = until
	old := c.held[k.Name]
	switch {
	case old == nil:
		c.held[k.Name] = &idempotency.Claim{Key: k, Seed: idempotency.Seed{byte(len(c.held) + 1)}}
		c.taken = map[string]bool{k.Name: true}
	case old.Key.Body != k.Body:
		return idempotency.Claim{}, idempotency.Mismatch()
	case c.taken[k.Name]:
		return idempotency.Claim{}, idempotency.InProgress(time.Second)
	}
	return *c.held[k.Name], nil
}

func (c *claims) Settle(_ context.Context, claim idempotency.Claim) error {
	if c.lost {
		return errors.New("lost")
	}
	c.settled++
	c.held[claim.Key.Name] = &claim
	delete(c.taken, claim.Key.Name)
	return nil
}

func (c *claims) Drop(_ context.Context, claim idempotency.Claim) error {
	delete(c.held, claim.Key.Name)
	delete(c.taken, claim.Key.Name)
	return nil
}

func keyOf(name string) idempotency.Key { return idempotency.Key{Tenant: "acme", Name: name} }

func without(n int) []event.Draft {
	list := drafts(n, 20)
	for i := range list {
		list[i].ID = ""
	}
	return list
}

func TestACallWithAKeyIsPutOnce(t *testing.T) {
	s, client := setup(t)
	first, again, other := without(5), without(5), without(5)
	for _, call := range []struct {
		key  string
		list []event.Draft
	}{{"k", first}, {"k", again}, {"other", other}} {
		if err := s.PublishOnce(t.Context(), keyOf(call.key), event.Lanes{Each: 1}, call.list); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the repeat has other ids (-first +again):\n%s", diff)
	}
	if client.calls != 2 || first[0].ID == "" || first[0].ID == other[0].ID {
		t.Errorf("%d calls, ids %s and %s", client.calls, first[0].ID, other[0].ID)
	}
	mismatch := keyOf("k")
	mismatch.Body[0]++
	if err := s.PublishOnce(t.Context(), mismatch, event.Lanes{Each: 1}, without(5)); problem.CodeOf(err) != problem.IdempotencyMismatch || client.calls != 2 {
		t.Errorf("another body: %v, %d calls", err, client.calls)
	}
}

// What the stream did not accept of a call is put by its repeat, and nothing else.
func TestARepeatPutsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		client.fails = func(_ context.Context, _ int, records []Record) (failed []int, _ error) {
			for i, r := range records {
				if r.Partition.Lane == 1 {
					failed = append(failed, i)
				}
			}
			return failed, nil
		}
		err := s.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 3}, without(12))
		if problem.CodeOf(err) != problem.Unavailable || !strings.Contains(problem.MessageOf(err), "of the call's 12 events") ||
			!strings.Contains(problem.MessageOf(err), "same Idempotency-Key") {
			t.Fatalf("got %v", err)
		}
		client.fails = nil
		list := without(12)
		if err := s.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 3}, list); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, ids := range client.ids() {
			for _, id := range ids {
				seen[id]++
			}
		}
		for _, d := range list {
			if seen[d.ID] != 1 {
				t.Errorf("event %s is in the stream %d times", d.ID, seen[d.ID])
			}
		}
		if len(seen) != len(list) {
			t.Errorf("%d events are in the stream, want %d", len(seen), len(list))
		}
	})
}

// A process that ends before it has settled its key leaves a call in progress; once the claim
// has run out, a repeat puts the events with the same ids.
func TestACallThatWasNotSettledIsPutAgainWithTheSameIDs(t *testing.T) {
	s, client := setup(t)
	keys := s.keys.(*claims)
	keys.lost = true
	list := without(3)
	if err := s.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, list); err != nil {
		t.Fatalf("the events are in the stream: %v", err)
	}
	if err := s.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, without(3)); problem.CodeOf(err) != problem.KeyInProgress || client.calls != 1 {
		t.Errorf("while the claim lasts: %v, %d calls", err, client.calls)
	}
	keys.taken, keys.lost = nil, false // it has run out
	again := without(3)
	if err := s.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, again); err != nil || client.calls != 2 {
		t.Errorf("got %v, %d calls", err, client.calls)
	}
	if diff := cmp.Diff(list, again); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
}

// The claim lasts as long as the call can, and a caller that goes away does not keep it.
func TestAClaimLastsAsLongAsItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		keys := s.keys.(*claims)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		deadline, _ := ctx.Deadline()
		client.fails = func(context.Context, int, []Record) ([]int, error) { cancel(); return nil, errFault }
		if err := s.PublishOnce(ctx, keyOf("k"), event.Lanes{Each: 1}, without(1)); problem.CodeOf(err) != problem.Unavailable {
			t.Errorf("got %v", err)
		}
		if !keys.until.Equal(deadline) || keys.settled != 1 {
			t.Errorf("claimed until %v, settled %d times; want %v and once", keys.until, keys.settled, deadline)
		}
	})
}

// A call that is refused whatever becomes of the stream does not use up its key.
func TestARefusedCallLeavesNoKey(t *testing.T) {
	s, client := setup(t)
	large := drafts(1, 1<<20)
	if err := s.PublishOnce(t.Context(), keyOf("k"), event.Lanes{Each: 1}, large); problem.CodeOf(err) != problem.PayloadTooLarge {
		t.Fatalf("got %v", err)
	}
	smaller := keyOf("k")
	smaller.Body[0]++
	if err := s.PublishOnce(t.Context(), smaller, event.Lanes{Each: 1}, without(1)); err != nil || client.calls != 1 {
		t.Errorf("the corrected call: %v, %d calls", err, client.calls)
	}
}
