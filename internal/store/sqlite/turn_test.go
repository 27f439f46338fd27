package sqlite

import (
	"testing"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Whatever a commit writes alone, it waits in its tenant's line, not among those of all.
func TestEveryCommitWaitsInItsTenantsLine(t *testing.T) {
	h := store.History{Tenant: "acme", Integration: "hook"}
	for _, w := range []store.Write{
		store.PutRejected{History: h, Rejected: &integration.Rejected{}}, // a retry by hand
		store.PutRejectedCount{History: h, Count: &integration.RejectedCount{}},
		store.AddEntry{History: h},
		store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "acme"}}},
	} {
		if turn := turnOf([]store.Write{w}); turn.Tenant != "acme" {
			t.Errorf("%T waits in the line of %q", w, turn.Tenant)
		}
	}
}
