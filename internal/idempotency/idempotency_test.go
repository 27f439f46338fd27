package idempotency

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
)

func TestASeedMakesTheSameIDsAgainAndNobodyElses(t *testing.T) {
	one, err := NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	first, again, others := make([]event.Draft, 1000), make([]event.Draft, 1000), make([]event.Draft, 1000)
	first[7].ID, again[7].ID = "given", "given"
	one.Fill(first)
	one.Fill(again)
	other.Fill(others)
	seen, last := map[string]bool{}, ""
	for i := range first {
		id := first[i].ID
		if id != again[i].ID || i == 7 && id != "given" {
			t.Fatalf("event %d has the id %s, and then %s", i, id, again[i].ID)
		}
		if seen[id] || seen[others[i].ID] {
			t.Fatalf("the id of event %d is there twice", i)
		}
		seen[id], seen[others[i].ID] = true, true
		if i == 7 {
			continue
		}
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 || id <= last || id != u.String() {
			t.Errorf("event %d has the id %s, after %s; %v", i, id, last, err)
		}
		if u.Time() != uuid.UUID(one).Time() {
			t.Errorf("event %d has the time %v in its id, want that of the call", i, u.Time())
		}
		last = id
	}
}
