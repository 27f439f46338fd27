package store

import (
	"github.com/sluicehq/sluice/internal/problem"
)

// MaxWrites is the maximum number of writes in a Commit.
const MaxWrites = 100

// Check rejects writes that no adapter may accept as one Commit: more than
// MaxWrites, or two writes of one record, whose order a database need not keep.
// Either is a bug of the caller, and a problem.Internal.
func Check(writes []Write) error {
	if n := weight(writes); n > MaxWrites {
		return problem.New(problem.Internal, "a Commit has %d writes; the limit is %d", n, MaxWrites)
	}
	seen := make(map[any]bool, len(writes))
	for _, w := range writes {
		k := target(w)
		if k == nil {
			continue
		}
		if seen[k] {
			return problem.New(problem.Internal, "a Commit writes %T %v twice", k, k)
		}
		seen[k] = true
	}
	return nil
}

// weight counts writes as the limit does.
func weight(writes []Write) int {
	n := len(writes)
	for _, w := range writes {
		switch w := w.(type) {
		case PutRejected:
			if w.Rejected.Version == 0 {
				n++
			}
		case DeleteRejected, DeleteHistory:
			n++
		case AddDeliveries:
			n--
		}
	}
	return n
}

type (
	tenantKey      string
	lanesKey       struct{}
	integrationKey struct{ tenant, id string }
	countKey       History
	rejectedKey    struct {
		history History
		eventID string
	}
	historyKey History
	alertKey   struct {
		history History
		number  uint64
	}
)

// target returns a key for the record that a write changes, nil if no other
// write can change the same one.
func target(w Write) any {
	switch w := w.(type) {
	case PutTenant:
		return tenantKey(w.Tenant.Name)
	case PutLanes:
		return lanesKey{}
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
	case PutRejectedCount:
		return countKey(w.History)
	case PutRejected:
		return rejectedKey{w.History, w.Rejected.Event.ID}
	case DeleteRejected:
		return rejectedKey{w.History, w.Ref.EventID}
	case DeleteHistory:
		return historyKey(w.History)
	case PutAlert:
		return alertKey{w.Alert.History, w.Alert.Number}
	case DeleteAlert:
		return alertKey{w.Alert.History, w.Alert.Number}
	default:
		return nil
	}
}
