package sqlite

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// ofMany returns an event for each of n tenants, the first of which is number from.
func ofMany(from, n, payload int) []event.Draft {
	list := drafts(from, n, payload)
	for i := range list {
		list[i].Tenant = tenantOf(i)
	}
	return list
}

func tenantOf(i int) string { return fmt.Sprintf("tenant-%04d", i) }

// wantRounds fails unless each of n tenants has the events of the given rounds of ofMany,
// in order and once.
func wantRounds(t *testing.T, l *Log, n, rounds int) {
	t.Helper()
	for i := range n {
		p := event.Partition{Tenant: tenantOf(i)}
		segments := content(t, l, p)
		if len(segments) != rounds {
			t.Fatalf("%s has %d segments, want %d", p.Tenant, len(segments), rounds)
		}
		for round, s := range segments {
			if s.Number != uint64(round+1) || len(s.Events) != 1 || s.Events[0].ID != idOf(round*n+i) {
				t.Fatalf("%s: segment %d is %+v", p.Tenant, round, s)
			}
		}
		if rest, err := l.After(t.Context(), p, 0); err != nil || rest.Events != rounds || rest.Next != 1 {
			t.Fatalf("%s: after the start there is %+v, %v", p.Tenant, rest, err)
		}
	}
}

// arrivalRows returns how many segments are in arrivals.
func arrivalRows(t *testing.T, db *sqlitedb.DB) int {
	t.Helper()
	n := 0
	for _, list := range storedBatches(t, db) {
		n += len(list)
	}
	return n
}

// storedBatches returns the segments of each row of arrivals.
func storedBatches(t *testing.T, db *sqlitedb.DB) map[int64][]arrival {
	t.Helper()
	rows, err := db.Query(t.Context(), "SELECT seq, data FROM arrivals")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	batches := map[int64][]arrival{}
	for rows.Next() {
		var seq int64
		var data []byte
		if err := rows.Scan(&seq, &data); err != nil {
			t.Fatal(err)
		}
		if batches[seq], err = parseBatch(data); err != nil {
			t.Fatal(err)
		}
	}
	return batches
}

// writeBatch replaces a row of arrivals.
func writeBatch(t *testing.T, db *sqlitedb.DB, seq int64, data []byte) {
	t.Helper()
	err := db.Write(t.Context(), sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec("UPDATE arrivals SET data = ? WHERE seq = ?", data, seq)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// bytesOf returns the row of arrivals that has the given segments.
func bytesOf(list []arrival) (data []byte) {
	for _, a := range list {
		data = append(data, a.data...)
	}
	return appendDirectory(data, list)
}

// A call with an event of each of 500 tenants does not write a page for each.
func TestManyTenantsShareThePagesOfACall(t *testing.T) {
	const tenants, pageSize = 500, 4096
	dir := t.TempDir()
	l, _ := open(t, dir, fixed(base))
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "sluice.db-wal"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	publish(t, l, "", ofMany(0, tenants, 300))
	for i := range tenants {
		publish(t, l, tenantOf(i), drafts(tenants+i, 1, 3000)) // fills the pages of its own
	}
	before := size()
	publish(t, l, "", ofMany(2*tenants, tenants, 300))
	if pages := (size() - before) / pageSize; pages > tenants/4 {
		t.Errorf("a call with events of %d tenants wrote %d pages", tenants, pages)
	}
}

// What is in arrivals is read like everything else: by this process, by the next one after
// a kill, and by one after a kill in the middle of a move.
func TestArrivalsAreInTheLog(t *testing.T) {
	const tenants = 400 // several steps of a move
	all := func(l *Log) []arrival { return l.arrivals.committed }
	for name, c := range map[string]struct {
		killed bool
		moved  func(tx *sqlitedb.Tx, l *Log) error
	}{
		"same process":           {},
		"after a kill":           {killed: true},
		"after a kill in a move": {true, func(tx *sqlitedb.Tx, l *Log) error { return put(tx, all(l)[100:300]) }},
		"after a kill while a move deletes": {true, func(tx *sqlitedb.Tx, l *Log) error {
			if err := put(tx, all(l)); err != nil {
				return err
			}
			_, err := tx.Exec("DELETE FROM arrivals WHERE seq <= 3")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, db := open(t, dir, fixed(base))
			publish(t, l, "", ofMany(0, tenants, 300))
			publish(t, l, "", ofMany(tenants, tenants, 300))
			if n := arrivalRows(t, db); n != 2*tenants {
				t.Fatalf("%d rows in arrivals, want %d", n, 2*tenants)
			}
			bytes, next := l.Bytes(tenantOf(7)), l
			if c.moved != nil {
				if err := db.Write(t.Context(), sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error { return c.moved(tx, l) }); err != nil {
					t.Fatal(err)
				}
			}
			if c.killed {
				killed := t.TempDir()
				copyFiles(t, dir, killed)
				next, _ = open(t, killed, fixed(base))
			}
			if got := next.Bytes(tenantOf(7)); got != bytes || bytes == 0 {
				t.Errorf("the tenant has %d bytes in the log, want %d", got, bytes)
			}
			waiting := 0
			for _, list := range storedBatches(t, next.db) {
				waiting += memoryOfAll(list)
			}
			if next.arrivals.bytes != waiting || waiting == 0 {
				t.Errorf("%d bytes are counted in arrivals, %d are there", next.arrivals.bytes, waiting)
			}
			publish(t, next, "", ofMany(2*tenants, tenants, 300))
			next.forget()
			wantRounds(t, next, tenants, 3)
			if n := arrivalRows(t, next.db); n != 0 {
				t.Errorf("%d rows are left in arrivals", n)
			}
			if next.arrivals.bytes != 0 {
				t.Errorf("%d bytes are left in arrivals, by their count", next.arrivals.bytes)
			}
		})
	}
}

// A time is found among arrivals.
func TestTimesOfArrivalsAreFound(t *testing.T) {
	const tenants = 20
	p := event.Partition{Tenant: tenantOf(3)}
	for name, find := range map[string]func(l *Log) (uint64, error){
		"seek": func(l *Log) (uint64, error) { return l.Seek(t.Context(), p, base.Add(time.Second)) },
		"offset": func(l *Log) (uint64, error) {
			n, _, err := l.OffsetForTime(t.Context(), p, base.Add(time.Second-time.Millisecond))
			return n, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := base
			l, _ := open(t, t.TempDir(), func() time.Time { return now })
			for round := range 3 {
				publish(t, l, "", ofMany(round*tenants, tenants, 300))
				now = now.Add(time.Second)
			}
			if n, err := find(l); err != nil || n != 1 {
				t.Errorf("found %d, %v, want 1", n, err)
			}
		})
	}
}

// A read waits for what was there when it came, not for what a busy platform adds.
func TestAReadDoesNotWaitForLaterArrivals(t *testing.T) {
	const tenants = 20
	l, db := open(t, t.TempDir(), fixed(base))
	l.recent.bytes = recentBytes
	publish(t, l, "", ofMany(0, tenants, 300))
	release := hold(t, db)
	var both sync.WaitGroup
	both.Go(func() {
		segments, err := l.Read(t.Context(), event.Partition{Tenant: tenantOf(3)}, 0, 1<<20)
		if err != nil || len(segments) == 0 {
			t.Errorf("the read returned %d segments, %v", len(segments), err)
		}
	})
	queued(db, 1)
	both.Go(func() {
		if err := l.Publish(t.Context(), "", event.Lanes{Each: 1}, ofMany(tenants, tenants, 300)); err != nil {
			t.Error(err)
		}
	})
	queued(db, 2)
	release()
	both.Wait()
	if n := arrivalRows(t, db); n != tenants {
		t.Errorf("%d rows are in arrivals, want the %d of the second call", n, tenants)
	}
}

// forget drops the segments in memory.
func (l *Log) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, part := range l.partitions {
		part.recent = nil
	}
}

// Segments that go to their places at once may pass those that are in arrivals.
func TestArrivalsKeepTheirOrderAmongOthers(t *testing.T) {
	const tenants = 20
	dir, killed := t.TempDir(), t.TempDir()
	l, _ := open(t, dir, fixed(base))
	l.recent.bytes = recentBytes
	publish(t, l, "", ofMany(0, tenants, 300))
	for i := range tenants {
		publish(t, l, tenantOf(i), drafts(tenants+i, 1, 300))
	}
	publish(t, l, "", ofMany(2*tenants, tenants, 300))
	copyFiles(t, dir, killed)
	next, _ := open(t, killed, fixed(base))
	wantRounds(t, l, tenants, 3)
	wantRounds(t, next, tenants, 3)
}

// Arrivals are moved once there are many, and no more come while there are too many: a
// start reads all.
func TestArrivalsAreBounded(t *testing.T) {
	const tenants, events = 40, 40 * 40
	l, db := open(t, t.TempDir(), fixed(base))
	moved := func() int64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.arrivals.moved
	}
	for round := 0; moved() == 0; round++ {
		if round > 10*moveBytes/(tenants*40*1000) {
			t.Fatalf("%d rows are in arrivals, and none was moved", arrivalRows(t, db))
		}
		list := drafts(round*events, events, 1000)
		for i := range list {
			list[i].Tenant = tenantOf(i % tenants)
		}
		publish(t, l, "", list)
	}
	l.mu.Lock()
	l.arrivals.bytes = arrivalsBytes
	l.mu.Unlock()
	n := arrivalRows(t, db)
	publish(t, l, "", ofMany(1_000_000, tenants, 300))
	if now := arrivalRows(t, db); now > n {
		t.Errorf("there were %d rows in arrivals, too many, and are %d", n, now)
	}
}

// Arrivals are in memory: what many small segments take there counts.
func TestTheMemoryOfArrivalsIsCounted(t *testing.T) {
	const tenants = 100
	l, _ := open(t, t.TempDir(), fixed(base))
	publish(t, l, "", ofMany(0, tenants, 10))
	bytes := 0
	for _, a := range l.arrivals.committed {
		bytes += cap(a.data) + int(unsafe.Sizeof(a))
	}
	if l.arrivals.bytes < bytes || l.arrivals.bytes > bytes*3/2 {
		t.Errorf("%d bytes are counted in arrivals, which take %d", l.arrivals.bytes, bytes)
	}
}

// No transaction deletes all rows of a move: others would wait for it.
func TestAMoveDeletesItsRowsInSteps(t *testing.T) {
	const tenants, calls = 20, 3*stepRows + 1
	l, db := open(t, t.TempDir(), fixed(base))
	l.recent.bytes = recentBytes
	for call := range calls {
		publish(t, l, "", ofMany(call*tenants, tenants, 10))
	}
	puts, before := uint64(l.arrivals.bytes/stepBytes), db.Commits()
	if _, err := l.Seek(t.Context(), event.Partition{Tenant: tenantOf(3)}, base); err != nil {
		t.Fatal(err)
	}
	if n := db.Commits() - before; n < puts+calls/stepRows+1 {
		t.Errorf("the move had %d transactions, at least %d of which put its segments in their places", n, puts)
	}
	l.forget()
	wantRounds(t, l, tenants, calls)
}

// A move that fails is an error for those who wait for it, and is tried again by the next.
func TestAMoveThatFailsIsTriedAgain(t *testing.T) {
	const tenants = 400
	for name, fail := range map[string]func(t *testing.T, db *sqlitedb.DB, dir string) (heal func()){
		"write lock held by another process": holdWriteLock,
		"disk full":                          fillDisk,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, db := open(t, dir, fixed(base))
			l.recent.bytes = recentBytes
			publish(t, l, "", ofMany(0, tenants, 300))
			heal := fail(t, db, dir)
			for range 2 {
				if _, err := l.Read(t.Context(), event.Partition{Tenant: tenantOf(3)}, 0, 1<<20); problem.CodeOf(err) != problem.Unavailable {
					t.Errorf("the read returned %v, want unavailable", err)
				}
			}
			heal()
			wantRounds(t, l, tenants, 1)
		})
	}
}

// What is in its place needs no move: a platform publishes on while others catch up, are
// looked at, and are trimmed.
func TestWhatIsInItsPlaceNeedsNoMove(t *testing.T) {
	const tenants = 20
	p := event.Partition{Tenant: tenantOf(3)}
	for name, use := range map[string]func(l *Log) (uint64, error){
		"read": func(l *Log) (uint64, error) {
			segments, err := l.Read(t.Context(), p, 0, 1<<20)
			return uint64(len(segments)), err
		},
		"what is left": func(l *Log) (uint64, error) {
			rest, err := l.After(t.Context(), p, 1)
			return uint64(rest.Events), err // one in its place, one in arrivals
		},
		"seek": func(l *Log) (uint64, error) {
			n, err := l.Seek(t.Context(), p, base.Add(time.Second))
			return n + 1, err
		},
		"end of a replay": func(l *Log) (uint64, error) {
			n, _, err := l.OffsetForTime(t.Context(), p, base)
			return n + 1, err
		},
		"trim": func(l *Log) (uint64, error) {
			n, err := l.Trim(t.Context(), base.Add(time.Second))
			return uint64(n + 1), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := base
			dir := t.TempDir()
			l, db := open(t, dir, func() time.Time { return now })
			l.recent.bytes = recentBytes
			publish(t, l, p.Tenant, drafts(0, 1, 300))
			now = now.Add(time.Second)
			publish(t, l, p.Tenant, drafts(1, 1, 300))
			for i := range tenants {
				if i != 3 {
					publish(t, l, tenantOf(i), drafts(10+i, 1, 300))
				}
			}
			publish(t, l, "", ofMany(100, tenants, 300))
			killed := t.TempDir()
			copyFiles(t, dir, killed)
			next, other := open(t, killed, fixed(now))
			for which, l := range map[string]*Log{"at once": l, "after a restart": next} {
				if n, err := use(l); err != nil || n != 2 {
					t.Errorf("%s: got %d, %v, want 2", which, n, err)
				}
			}
			if n, m := arrivalRows(t, db), arrivalRows(t, other); n != tenants || m != tenants {
				t.Errorf("%d rows are left in arrivals, %d after a restart, want %d", n, m, tenants)
			}
		})
	}
}

// Those who look how far behind every tenant is, as for the metrics, have nothing moved
// that is in memory.
func TestWhatIsInMemoryIsCountedWithoutAMove(t *testing.T) {
	const tenants, rounds = 20, 2
	l, db := open(t, t.TempDir(), fixed(base))
	for round := range rounds {
		publish(t, l, "", ofMany(round*tenants, tenants, 300))
	}
	rests := func() (list []eventlog.Rest) {
		for i := range tenants {
			rest, err := l.After(t.Context(), event.Partition{Tenant: tenantOf(i)}, 1)
			if err != nil || rest.Bytes < 300 || rest.Bytes > 900 {
				t.Errorf("%+v, %v", rest, err)
			}
			rest.Bytes = 0
			list = append(list, rest)
		}
		return list
	}
	got := rests()
	if n := arrivalRows(t, db); n != rounds*tenants {
		t.Errorf("%d rows are left in arrivals, want %d", n, rounds*tenants)
	}
	l.forget()
	if want := rests(); !slices.Equal(got, want) {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// A trim and a purge reach arrivals.
func TestArrivalsAreTrimmedAndPurged(t *testing.T) {
	const tenants = 20
	now := base
	dir := t.TempDir()
	l, db := open(t, dir, func() time.Time { return now })
	publish(t, l, "", ofMany(0, tenants, 300))
	if _, err := l.Purge(t.Context(), tenantOf(0)); err != nil || l.Bytes(tenantOf(0)) != 0 {
		t.Errorf("after the purge there are %d bytes, %v", l.Bytes(tenantOf(0)), err)
	}
	publish(t, l, "", ofMany(tenants, tenants, 300))
	now = now.Add(time.Hour)
	// The purge left the row of the last segment.
	if n, err := l.Trim(t.Context(), now); err != nil || n != 2*tenants || l.HasEvents() {
		t.Errorf("the trim deleted %d segments, %v, want %d; events are left: %v", n, err, 2*tenants, l.HasEvents())
	}
	killed := t.TempDir()
	copyFiles(t, dir, killed)
	next, _ := open(t, killed, fixed(now))
	if end, err := next.End(t.Context(), event.Partition{Tenant: tenantOf(1)}); err != nil || end != 2 || next.HasEvents() || stored(t, db) != 0 {
		t.Errorf("after a restart the lane ends at %d, %v, want 2; events are left: %v", end, err, next.HasEvents())
	}
}

// Stamps of a clock that was ahead are lowered in arrivals too.
func TestStampsOfArrivalsAreReset(t *testing.T) {
	const tenants = 20
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base.AddDate(1, 0, 0)))
	publish(t, l, "", ofMany(0, tenants, 300))
	if later, err := ResetStamps(t.Context(), db, base); err != nil || later != tenants {
		t.Errorf("%d segments were later, %v, want %d", later, err, tenants)
	}
	killed := t.TempDir()
	copyFiles(t, dir, killed)
	next, _ := open(t, killed, fixed(base))
	if !next.Newest().Equal(base) {
		t.Errorf("the newest stamp is %v, want %v", next.Newest(), base)
	}
	wantRounds(t, next, tenants, 1)
}

// A row of arrivals whose partition is not there is damage: it is said, and no panic.
func TestAnArrivalOfNoPartitionIsDamage(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	publish(t, l, "", ofMany(0, 20, 300))
	list := storedBatches(t, db)[1]
	list[7].row |= 1 << 60
	writeBatch(t, db, 1, bytesOf(list))
	if _, err := Open(t.Context(), db, fixed(base)); err == nil || !strings.Contains(err.Error(), "row 1 of arrivals") {
		t.Errorf("the log was opened with %v", err)
	}
}

// A changed byte of an event in arrivals costs one segment. Any other could give events to
// others, or numbers twice: no log is opened with it.
func TestADamagedRowOfArrivals(t *testing.T) {
	const tenants = 20
	l, db := open(t, t.TempDir(), fixed(base))
	publish(t, l, "", ofMany(0, tenants, 300))
	list := storedBatches(t, db)[1]
	whole := bytesOf(list)
	segments := 0
	for _, a := range list {
		segments += a.size
	}
	for at := segments; at < len(whole); at++ {
		data := slices.Clone(whole)
		data[at] ^= 0x10
		if _, err := parseBatch(data); err == nil {
			t.Fatalf("a row with another byte %d of %d, after %d of segments, is read", at, len(whole), segments)
		}
	}
	for cut := range len(whole) {
		if _, err := parseBatch(whole[:cut]); err == nil {
			t.Fatalf("the first %d bytes of a row are read", cut)
		}
	}
	data := slices.Clone(whole)
	data[segments] ^= 0x10
	writeBatch(t, db, 1, data)
	if _, err := Open(t.Context(), db, fixed(base)); err == nil || !strings.Contains(err.Error(), "the database is damaged") {
		t.Errorf("the log was opened with %v", err)
	}
	data = slices.Clone(whole)
	data[list[0].size/2] ^= 0x10 // of the first tenant
	writeBatch(t, db, 1, data)
	next, err := Open(t.Context(), db, fixed(base))
	if err != nil {
		t.Fatal(err)
	}
	for i := range tenants {
		segments := content(t, next, event.Partition{Tenant: tenantOf(i)})
		if len(segments) != 1 || (segments[0].Damage != nil) != (i == 0) {
			t.Errorf("%s has %+v", tenantOf(i), segments)
		}
	}
}

// Whatever a row of arrivals has, it is read as it was written or refused.
func FuzzParseBatch(f *testing.F) {
	f.Add(bytesOf([]arrival{{row: 1<<numberBits | 1, firstMs: -5, lastMs: 7, events: 1, before: 2, appended: 300, size: 3, data: []byte("abc")}}))
	f.Add(bytesOf([]arrival{{row: 3<<numberBits | 9, size: 0}, {row: 1<<62 | 1, firstMs: 1 << 50, lastMs: 1 << 51, size: 1, data: []byte("x")}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, signed := range [][]byte{data, signed(data)} {
			list, err := parseBatch(signed)
			if err != nil {
				continue
			}
			again, err := parseBatch(bytesOf(list))
			if err != nil || len(again) != len(list) {
				t.Fatalf("%+v is written as %+v, %v", list, again, err)
			}
			for i := range list {
				if !reflect.DeepEqual(list[i], again[i]) {
					t.Errorf("%+v is written as %+v", list[i], again[i])
				}
			}
		}
	})
}

// signed returns a row of arrivals that has the given bytes as its directory.
func signed(directory []byte) []byte {
	data := binary.LittleEndian.AppendUint32(slices.Clone(directory), uint32(len(directory)))
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}
