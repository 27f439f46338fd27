package sqlite_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

// before is a database of the first release, as its driver sees it.
func before(t *testing.T) (dir string, db *sql.DB) {
	t.Helper()
	script, err := os.ReadFile("../../sqlitedb/testdata/version1.sql")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	path := filepath.Join(dir, sqlitedb.FileName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err = sql.Open("sqlite", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	return dir, db
}

// listed writes a list of rejected events as an earlier release did, with the events.
func listed(t *testing.T, db *sql.DB, h store.History, refs []integration.RejectedRef) {
	t.Helper()
	index, err := json.Marshal(refs)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		data := fmt.Sprintf(`{"created_at":%q,"attempts":1}`, ref.CreatedAt.Format(time.RFC3339Nano))
		encoded := eventlog.AppendSegment(nil, []event.Event{event.Draft{ID: ref.EventID, Name: "a.b", Payload: []byte("{}")}.Stamp(h.Tenant, ref.CreatedAt)})
		if _, err := db.ExecContext(t.Context(), "INSERT INTO rejected VALUES (?, ?, ?, ?, 7, ?, ?)", h.Tenant, h.Integration, h.Incarnation, ref.EventID, []byte(data), encoded); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO rejected_indexes VALUES (?, ?, ?, 7, ?)", h.Tenant, h.Integration, h.Incarnation, index); err != nil {
		t.Fatal(err)
	}
}

// The list of an earlier release is read as it was, each event of it can be removed, and new
// ones come after it, whatever a time was written as.
func TestTheListOfAnEarlierReleaseIsMigrated(t *testing.T) {
	dir, db := before(t)
	base := time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC)
	zones := []*time.Location{time.UTC, time.FixedZone("", 5*3600+1800), time.FixedZone("", -3600)}
	var want []integration.RejectedRef
	for i, at := range []time.Time{
		time.Date(1969, 12, 31, 23, 59, 58, 500, time.UTC), base, base.Add(1), base.Add(1234), base.Add(100 * time.Millisecond),
		base.Add(999_999_999), base.Add(time.Second), base.Add(time.Second + 999_900_000),
	} {
		ref := integration.RejectedRef{EventID: fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i), CreatedAt: at.In(zones[i%3])}
		if i%2 == 1 { // the first release had no more than an id and a time
			ref.Name, ref.Reason, ref.Status = `a."b`, integration.ReasonRejected, 400
		}
		want = append(want, ref)
	}
	h := store.History{Tenant: "acme", Integration: "hook", Incarnation: 1}
	listed(t, db, h, want)
	earlier := store.History{Tenant: "acme", Integration: "hook", Incarnation: 9} // it rejected the same event
	listed(t, db, earlier, []integration.RejectedRef{{EventID: want[0].EventID, CreatedAt: base.Add(time.Hour)}})
	empty := store.History{Tenant: "acme", Integration: "empty", Incarnation: 9}
	listed(t, db, empty, nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, dir)
	list, err := s.OldestRejected(t.Context(), h, 100)
	if err != nil || !slices.EqualFunc(list, want, func(a, b integration.RejectedRef) bool {
		return a.CreatedAt.Equal(b.CreatedAt) && a.EventID == b.EventID && a.Name == b.Name && a.Reason == b.Reason && a.Status == b.Status
	}) {
		t.Fatalf("the list is %v, %v\nwant %v", list, err, want)
	}
	count, err := s.RejectedCount(t.Context(), h)
	if err != nil || count.Kept != len(want) || !count.Newest.Equal(want[len(want)-1].CreatedAt) {
		t.Errorf("counted are %+v, %v", count, err)
	}
	for _, ref := range want {
		r, err := s.Rejected(t.Context(), h, ref.EventID)
		if err != nil {
			t.Fatal(err)
		}
		count.Remove(ref.EventID)
		put(t, s, store.DeleteRejected{History: h, Ref: r.Ref()}, store.PutRejectedCount{History: h, Count: count})
	}
	if list, err := s.OldestRejected(t.Context(), h, 100); err != nil || len(list) > 0 {
		t.Errorf("left are %v, %v", list, err)
	}
	if count, err := s.RejectedCount(t.Context(), empty); err != nil || count.Kept != 0 || !count.Newest.IsZero() || count.Version == 0 {
		t.Errorf("an empty list is counted as %+v, %v", count, err)
	}
	fixture := store.History{Tenant: "acme", Integration: "rejecting", Incarnation: 3}
	list, err = s.NewestRejected(t.Context(), fixture, integration.RejectedRef{}, 100)
	if count, err2 := s.RejectedCount(t.Context(), fixture); err != nil || err2 != nil || len(list) != 5 || count.Kept != 5 || !count.Newest.Equal(list[0].CreatedAt) {
		t.Errorf("of the fixture are listed %v, %v, counted %+v, %v", list, err, count, err2)
	}
}

// A damaged list costs itself; a damaged event of a list costs itself.
func TestADamagedListDoesNotStopTheMigration(t *testing.T) {
	dir, db := before(t)
	h := store.History{Tenant: "acme", Integration: "hook", Incarnation: 1}
	listed(t, db, h, []integration.RejectedRef{{EventID: "x"}, {EventID: "y"}})
	other := store.History{Tenant: "other", Integration: "hook", Incarnation: 1}
	listed(t, db, other, []integration.RejectedRef{{EventID: "z"}})
	for _, damage := range []string{
		"UPDATE rejected SET data = x'21' WHERE event_id = 'x'",
		"UPDATE rejected_indexes SET data = x'5b7b' WHERE tenant = 'other'",
	} {
		if _, err := db.ExecContext(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, dir)
	list, err := s.OldestRejected(t.Context(), h, 100)
	if count, err2 := s.RejectedCount(t.Context(), h); err != nil || err2 != nil || len(list) != 1 || list[0].EventID != "y" || count.Kept != 1 {
		t.Errorf("listed are %v, %v, counted %+v, %v", list, err, count, err2)
	}
	list, err = s.OldestRejected(t.Context(), other, 100)
	if count, err2 := s.RejectedCount(t.Context(), other); err != nil || err2 != nil || len(list) != 0 || count.Kept != 0 {
		t.Errorf("of a damaged list are listed %v, %v, counted %+v, %v", list, err, count, err2)
	}
}
