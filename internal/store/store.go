// Package store is the port for records: tenants, integrations, cursors, partition
// states, log entries, rejected events and delivery records. It does not interpret them: whatever
// must be atomic is one Commit of records that the caller computed. Package
// storetest is the conformance suite of its adapters.
package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// ErrConflict is returned by Commit when the stored version of a record is not
// the one that was given. Nothing was written; read again and recompute.
var ErrConflict = errors.New("a record was changed concurrently")

// EntriesKept is the minimum number of log entries kept per history, unless they
// expire: a few times what is ever read.
const EntriesKept = 200

// ErrPlace is returned for the place of an entry that no adapter has given.
var ErrPlace = problem.New(problem.InvalidRequest, "after is not the next of an earlier answer; send that one unchanged, or omit after to begin with the first page.")

// PlacedEntry is a log entry and its place in its history, which no other entry has.
type PlacedEntry struct {
	integration.LogEntry
	Place string
}

// Tenant is the record of a tenant as a whole.
type Tenant struct {
	Name         string `json:"-"`
	Integrations int    `json:"integrations"` // how many it has
	Generation   uint64 `json:"generation"`   // the last one assigned
	// Lanes is how many lanes its integrations have cursors in, if that is more than
	// SLUICE_LANES. It is raised before a lane is opened: see Lanes.
	Lanes   int    `json:"lanes,omitzero"`
	Version uint64 `json:"-"`
}

// Lanes is the one record of which tenants' events may be spread over more lanes than
// SLUICE_LANES. A lane is opened, by being in it, when every integration of the tenant has a
// cursor there (docs/adr/0024-lanes-of-a-tenant.md).
type Lanes struct {
	Open    map[string]int `json:"open"` // how many, by tenant
	Version uint64         `json:"-"`
}

// Store reads and writes records. Reads see every Commit that returned before
// them. Methods are safe for concurrent use. A missing record is a
// problem.NotFound if the method says so, otherwise the zero record with Version
// 0. Returned records belong to the caller. Other errors are of package problem:
// Unavailable if a later retry may help.
type Store interface {
	// Tenant returns the record of a tenant, with Version 0 if there is none.
	Tenant(ctx context.Context, tenant string) (*Tenant, error)
	// Lanes returns the lanes that are open, with Version 0 if none ever was.
	Lanes(ctx context.Context) (*Lanes, error)
	// Integration returns one integration, or problem.NotFound.
	Integration(ctx context.Context, tenant, id string) (*integration.Integration, error)
	// Integrations returns all integrations of a tenant, sorted by id.
	Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error)
	// Partition returns the state of a partition, with Version 0 if there is none.
	Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error)
	// Cursor returns one cursor, or problem.NotFound.
	Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)

	// Due returns up to limit keys of cursors whose DueAt is at or before the
	// given time, the longest overdue first.
	Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error)
	// ExpiredReplays returns up to limit completed replays whose CompletedAt is
	// at or before the given time.
	ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error)

	// Entries returns up to limit log entries of an integration, newest first by
	// CreatedAt; entries of the same time are in reverse order of their Commits
	// and of their place in one. An adapter may keep only the newest EntriesKept
	// of a history.
	Entries(ctx context.Context, h History, limit int) ([]integration.LogEntry, error)
	// EntriesAfter is Entries from a place on, without the entry there: the Place of an
	// entry that it returned, or "" for the newest. Any other is ErrPlace.
	EntriesAfter(ctx context.Context, h History, place string, limit int) ([]PlacedEntry, error)
	// RejectedCount returns how many rejected events a history has in its list, with
	// Version 0 if it never had one.
	RejectedCount(ctx context.Context, h History) (*integration.RejectedCount, error)
	// NewestRejected returns up to limit events of the list, newest first, from one on and
	// without it: one that the list has, or had. The zero one is before the newest. A
	// list is sorted by RejectedRef.Compare.
	NewestRejected(ctx context.Context, h History, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error)
	// OldestRejected returns up to limit events of the list, oldest first.
	OldestRejected(ctx context.Context, h History, limit int) ([]integration.RejectedRef, error)
	// Rejected returns one rejected event, or problem.NotFound.
	Rejected(ctx context.Context, h History, eventID string) (*integration.Rejected, error)
	// Deliveries returns the delivery records that a query asks for.
	Deliveries(ctx context.Context, q deliveries.Query) ([]deliveries.Record, error)

	// Alerts returns up to limit alerts whose DueAt is at or before the given time, in the
	// order of their DueAt and, of one integration at the same time, of their Number. One
	// that has just been written may be missing.
	Alerts(ctx context.Context, before time.Time, limit int) ([]*Alert, error)

	// Troubled returns up to limit integrations of all tenants whose Alerts.Since is set, in
	// the order of their places, after a place and without the one there; the zero one is
	// before all. next is the place of the last one, or zero if none follows. One that has
	// just changed may be missing, so that there can be fewer than limit although some
	// follow; one that moved may be there twice. A record that cannot be decoded hides no
	// other.
	Troubled(ctx context.Context, after TroublePlace, limit int) (found []Troubled, next TroublePlace, err error)

	// Commit makes all writes or none. It returns ErrConflict if a record's
	// Version is not the stored one (0: the record must not exist). On success it
	// sets the new Version of each given record; a version is never reused for a
	// key, even after a deletion. A Commit whose response is lost may have
	// happened: repeating it returns ErrConflict, so that the caller reads again.
	// At most MaxWrites writes; a new PutRejected, a DeleteRejected and a DeleteHistory
	// count twice, an AddDeliveries does not count.
	Commit(ctx context.Context, writes ...Write) error
}

// History identifies the log and the rejected events of one incarnation of an
// integration, from its registration to its deletion.
type History struct {
	Tenant      string `json:"tenant"`
	Integration string `json:"integration"`
	Incarnation uint64 `json:"incarnation"`
}

// HistoryOf returns the History of an integration.
func HistoryOf(in *integration.Integration) History {
	return History{Tenant: in.Tenant, Integration: in.ID, Incarnation: in.Incarnation}
}

// Alert is an event about an integration that is still to be published to the operator's
// tenant. History and Number identify it.
type Alert struct {
	History History               `json:"history"`
	Number  uint64                `json:"number"`
	Kind    integration.AlertKind `json:"kind"`
	At      time.Time             `json:"at"` // of the change
	// DueAt is when it can be published. A process that is about to publish it moves it
	// ahead, and has it for itself until then.
	DueAt time.Time `json:"due_at"`
	// Payload is that of the event, as JSON; nil if it is made when it is due.
	Payload json.RawMessage `json:"payload,omitempty"`
	Version uint64          `json:"-"`
}

// Compare orders alerts as Store.Alerts returns them.
func (a *Alert) Compare(b *Alert) int {
	return cmp.Or(a.DueAt.Compare(b.DueAt), strings.Compare(a.History.Tenant, b.History.Tenant),
		strings.Compare(a.History.Integration, b.History.Integration), cmp.Compare(a.Number, b.Number))
}

// TroublePlace is the place of an integration among those that are in trouble.
type TroublePlace struct {
	Since      time.Time // whole milliseconds
	Tenant, ID string
}

// Troubled is an integration that is in trouble, or what is known of it without its record.
type Troubled struct {
	TroublePlace
	Integration *integration.Integration // nil if the record cannot be decoded
	Err         error                    // why not
}

// PlaceOfTrouble returns the place of an integration whose Alerts.Since is set.
func PlaceOfTrouble(in *integration.Integration) TroublePlace {
	return TroublePlace{in.Alerts.Since, in.Tenant, in.ID}
}

// Compare orders places: what is in trouble for longest comes first.
func (p TroublePlace) Compare(other TroublePlace) int {
	return cmp.Or(p.Since.Compare(other.Since), strings.Compare(p.Tenant, other.Tenant), strings.Compare(p.ID, other.ID))
}

// Write is one change of a Commit: exactly one of the types below.
type Write interface{ write() }

// The writes. A Put or Delete of a versioned record is conditional on its
// Version; the others are unconditional.
type (
	PutTenant         struct{ Tenant *Tenant }
	PutLanes          struct{ Lanes *Lanes }
	PutIntegration    struct{ Integration *integration.Integration }
	DeleteIntegration struct{ Integration *integration.Integration }
	PutPartition      struct{ State *handoff.PartitionState }
	PutCursor         struct {
		Cursor *handoff.Cursor
		// KeepDue allows Due to return the cursor by the DueAt it had before, which
		// was earlier: an adapter can save the write of an index. The cursor has a
		// DueAt, and had one before.
		KeepDue bool
	}
	DeleteCursor struct{ Cursor *handoff.Cursor }
	AddEntry     struct {
		History History
		Entry   integration.LogEntry
		// Alert, unless "", is the kind of alert that alert.Store commits with the entry.
		// No adapter looks at it.
		Alert integration.AlertKind
	}
	// AddDeliveries adds a delivery record, which the other writes of the Commit do not
	// depend on: an adapter may write it just after them, and lose it if that fails or the
	// process stops in between.
	AddDeliveries struct{ Record deliveries.Record }
	PutAlert      struct{ Alert *Alert }
	// DeleteAlert removes an alert, if it is there: its Version does not matter.
	DeleteAlert      struct{ Alert *Alert }
	PutRejectedCount struct {
		History History
		Count   *integration.RejectedCount
	}
	// PutRejected writes a rejected event. A new one enters the list.
	PutRejected struct {
		History  History
		Rejected *integration.Rejected
	}
	// DeleteRejected removes a rejected event, if it is there, and its place in the list,
	// which its EventID and CreatedAt name.
	DeleteRejected struct {
		History History
		Ref     integration.RejectedRef
	}
	// DeleteHistory makes all entries and rejected events of a history unreadable
	// with the Commit; the adapter frees their space later. A deleted history is
	// never used again: the adapter may hide what is written to it afterwards, and
	// frees that too.
	DeleteHistory struct{ History History }
)

func (PutTenant) write()         {}
func (PutLanes) write()          {}
func (PutIntegration) write()    {}
func (DeleteIntegration) write() {}
func (PutPartition) write()      {}
func (PutCursor) write()         {}
func (DeleteCursor) write()      {}
func (AddEntry) write()          {}
func (AddDeliveries) write()     {}
func (PutAlert) write()          {}
func (DeleteAlert) write()       {}
func (PutRejectedCount) write()  {}
func (PutRejected) write()       {}
func (DeleteRejected) write()    {}
func (DeleteHistory) write()     {}
