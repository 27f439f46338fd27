// Package store is the port of the records: integrations, cursors, partition
// records, log entries and rejected events. It knows nothing of what they mean:
// everything that must be atomic is one Commit of records that the callers
// computed. Package storetest is its conformance suite.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// ErrConflict is returned by Commit when a record is not, or no longer, of the
// version it was read at. Nothing was written; read again and decide anew.
var ErrConflict = errors.New("a record has changed meanwhile")

// EntriesKept is how many log entries of a history are kept at least, if they
// are not past their time: a few times what is ever asked for.
const EntriesKept = 200

// Tenant is what must hold for a tenant as a whole.
type Tenant struct {
	Name         string `json:"-"`
	Integrations int    `json:"integrations"` // how many there are
	Generation   uint64 `json:"generation"`   // the last one given out
	Version      uint64 `json:"-"`
}

// Store reads and writes records. Reads see every Commit that returned before
// them. Methods are safe for concurrent use. A record that is not there is a
// problem.NotFound where the method says so, else the zero record with Version
// 0. Records that are returned belong to the caller. Other errors are of
// package problem: Unavailable where trying again later may help.
type Store interface {
	// Tenant returns the record of a tenant, with Version 0 if there is none.
	Tenant(ctx context.Context, tenant string) (*Tenant, error)
	// Integration returns one integration, or problem.NotFound.
	Integration(ctx context.Context, tenant, id string) (*integration.Integration, error)
	// Integrations returns all of a tenant's, by id.
	Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error)
	// Record returns the record of a partition, with Version 0 if there is none.
	Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error)
	// Cursor returns one cursor, or problem.NotFound.
	Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)

	// Due returns up to limit keys of cursors with a DueAt at or before the
	// given time, the longest overdue first.
	Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error)
	// Graces returns up to limit completed replays whose CompletedAt is at or
	// before the given time.
	ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error)

	// Entries returns an integration's log entries, newest first by CreatedAt;
	// those of one time in the reverse order of their Commits and within each.
	// An adapter may keep no more than the newest EntriesKept of a history.
	Entries(ctx context.Context, h History, limit int) ([]integration.LogEntry, error)
	// RejectedIndex returns the list of rejected events, with Version 0 if
	// there is none.
	RejectedIndex(ctx context.Context, h History) (*integration.RejectedIndex, error)
	// Rejected returns one rejected event, or problem.NotFound.
	Rejected(ctx context.Context, h History, eventID string) (*integration.Rejected, error)

	// Commit makes every write or none. It returns ErrConflict if a record's
	// version is not the stored one (0: it must not exist yet); on success each
	// record given has its new Version set, which no record of that name ever
	// had before, not even one that was deleted. A Commit whose answer is lost may
	// have happened: whoever repeats it gets ErrConflict and reads. At most 100
	// writes.
	Commit(ctx context.Context, writes ...Write) error
}

// History names the log and the rejected events of one life of an integration,
// from its registration to its deletion.
type History struct {
	Tenant      string
	Integration string
	Incarnation uint64
}

// HistoryOf returns the History of an integration.
func HistoryOf(in *integration.Integration) History {
	return History{Tenant: in.Tenant, Integration: in.ID, Incarnation: in.Incarnation}
}

// Write is one change of a Commit: exactly one of the types below.
type Write interface{ write() }

// The writes. A Put or Delete of a versioned record is conditional on its
// Version; a log entry is not.
type (
	PutTenant         struct{ Tenant *Tenant }
	PutIntegration    struct{ Integration *integration.Integration }
	DeleteIntegration struct{ Integration *integration.Integration }
	PutPartition      struct{ State *handoff.PartitionState }
	PutCursor         struct{ Cursor *handoff.Cursor }
	DeleteCursor      struct{ Cursor *handoff.Cursor }
	AddEntry          struct {
		History History
		Entry   integration.LogEntry
	}
	PutRejectedIndex struct {
		History History
		Index   *integration.RejectedIndex
	}
	PutRejected struct {
		History  History
		Rejected *integration.Rejected
	}
	// DeleteRejected removes a rejected event, if it is there.
	DeleteRejected struct {
		History History
		EventID string
	}
	// DeleteHistory makes all entries and rejected events of a life unreadable
	// with the Commit; the adapter frees their room in its own time. A life that
	// has ended does not come back: what is written to it afterwards the adapter
	// may hide, and frees too.
	DeleteHistory struct{ History History }
)

func (PutTenant) write()         {}
func (PutIntegration) write()    {}
func (DeleteIntegration) write() {}
func (PutPartition) write()      {}
func (PutCursor) write()         {}
func (DeleteCursor) write()      {}
func (AddEntry) write()          {}
func (PutRejectedIndex) write()  {}
func (PutRejected) write()       {}
func (DeleteRejected) write()    {}
func (DeleteHistory) write()     {}
