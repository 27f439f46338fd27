package store

import (
	"github.com/sluicehq/sluice/internal/problem"
)

// MaxWrites is how many writes a Commit takes.
const MaxWrites = 100

// Check refuses what no adapter may take as a Commit: too many writes, or two
// writes of one record, whose order a database need not keep. Either is a
// mistake of the caller's.
func Check(writes []Write) error {
	if len(writes) > MaxWrites {
		return problem.New(problem.Internal, "a Commit of %d writes; it takes at most %d", len(writes), MaxWrites)
	}
	seen := make(map[any]bool, len(writes))
	for _, w := range writes {
		k := target(w)
		if k == nil {
			continue
		}
		if seen[k] {
			return problem.New(problem.Internal, "a Commit writes the record %T %v twice", k, k)
		}
		seen[k] = true
	}
	return nil
}

type (
	tenantKey      string
	integrationKey struct{ tenant, id string }
	indexKey       History
	rejectedKey    struct {
		history History
		eventID string
	}
	historyKey History
)

// target names the record that a write changes, nil for one that no other
// write can meet.
func target(w Write) any {
	switch w := w.(type) {
	case PutTenant:
		return tenantKey(w.Tenant.Name)
	case PutIntegration:
		return integrationKey{w.Integration.Tenant, w.Integration.ID}
	case DeleteIntegration:
		return integrationKey{w.Integration.Tenant, w.Integration.ID}
	case PutPartition:
		return w.State.Partition
	case PutCursor:
		return w.Cursor.Key
	case DeleteCursor:
		return w.Cursor.Key
	case PutRejectedIndex:
		return indexKey(w.History)
	case PutRejected:
		return rejectedKey{w.History, w.Rejected.Event.ID}
	case DeleteRejected:
		return rejectedKey{w.History, w.EventID}
	case DeleteHistory:
		return historyKey(w.History)
	default:
		return nil
	}
}
