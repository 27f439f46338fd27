package sqlite

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}

// damagedOnDisk returns a log of three segments, the second of which was changed in the
// file, before the log was opened or after it. restore undoes the change.
func damagedOnDisk(t *testing.T, payload string, after bool, change func(page []byte)) (l *Log, restore func()) {
	t.Helper()
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	publish(t, l, "a", drafts(0, 1, 100))
	publish(t, l, "a", []event.Draft{{ID: idOf(1), Name: "order.created", Payload: []byte(payload)}})
	publish(t, l, "a", drafts(2, 1, 100))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sluice.db")
	data, err := os.ReadFile(path)
	at := bytes.Index(data, []byte("haystack"))
	if err != nil || at < 0 {
		t.Fatalf("the event is not in the file: %v", err)
	}
	if after {
		l, _ = open(t, dir, fixed(base))
	}
	const size = 4 << 10
	from := at / size * size
	page := data[from:][:size]
	good := bytes.Clone(page)
	change(page)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	write := func(page []byte) {
		if _, err := f.WriteAt(page, int64(from)); err != nil {
			t.Fatal(err)
		}
	}
	write(page)
	if !after {
		l, _ = open(t, dir, fixed(base))
	}
	return l, func() { write(good) }
}

// A file that was changed behind SQLite's back costs the segment whose bytes are not what
// was written, or that SQLite itself cannot read, and no other.
func TestADamagedFileCostsOneSegment(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		after   bool // a start refuses a file that SQLite cannot read, unless it is large
		change  func(page []byte)
	}{
		"a few bytes are others": {`{"needle":"haystack"}`, false, func(page []byte) {
			_, at, _ := bytes.Cut(page, []byte("hay"))
			copy(at, "rides")
		}},
		"a page is empty": {`{"needle":"` + strings.Repeat("haystack", 2000) + `"}`, true, func(page []byte) { clear(page) }},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := damagedOnDisk(t, c.payload, c.after, c.change)
			var good, bad []uint64
			for after := uint64(0); after < 3; {
				segments, err := l.Read(t.Context(), event.Partition{Tenant: "a"}, after, 1)
				if err != nil || len(segments) == 0 {
					t.Fatalf("after %d: %d segments, %v", after, len(segments), err)
				}
				for _, s := range segments {
					if after = s.Number; s.Damage == nil && len(s.Events) == 1 {
						good = append(good, s.Number)
					} else if d := s.Damage; d != nil && d.Events == 1 && d.First.Equal(base) && d.Last.Equal(base) {
						bad = append(bad, s.Number)
					}
				}
			}
			if !slices.Equal(good, []uint64{1, 3}) || !slices.Equal(bad, []uint64{2}) {
				t.Errorf("readable are %v, damaged %v", good, bad)
			}
		})
	}
}

// A read that returns other bytes than the disk has skips nothing: what looks damaged is read
// again, and not from the cache that the first read filled.
func TestOneBadReadIsNoDamage(t *testing.T) {
	ctx, p := t.Context(), event.Partition{Tenant: "a"}
	isWhole := func(t *testing.T, got []eventlog.Segment, err error) {
		t.Helper()
		if err != nil || len(got) != 1 || got[0].Damage != nil || len(got[0].Events) != 1 || !bytes.Contains(got[0].Events[0].Body, []byte("haystack")) {
			t.Errorf("read %v, %v; want the event that is on the disk", got, err)
		}
	}
	t.Run("a few bytes are others", func(t *testing.T) {
		l, restore := damagedOnDisk(t, `{"needle":"haystack"}`, false, func(page []byte) {
			_, at, _ := bytes.Cut(page, []byte("hay"))
			copy(at, "rides")
		})
		if got, err := l.Read(ctx, p, 1, 1); err != nil || len(got) != 1 || got[0].Damage == nil {
			t.Fatalf("read %v, %v; want the damaged segment, which is in the cache now", got, err)
		}
		restore()
		got, err := l.Read(ctx, p, 1, 1)
		isWhole(t, got, err)
	})
	t.Run("a page is empty", func(t *testing.T) {
		l, restore := damagedOnDisk(t, `{"needle":"`+strings.Repeat("haystack", 2000)+`"}`, true, func(page []byte) { clear(page) })
		s, _ := l.committed(p)
		got, err := l.fromDisk(ctx, p, s, 1, 1)
		if len(got) > 0 || !sqlitedb.Corrupt(err) {
			t.Fatalf("the first read: %v, %v", got, err)
		}
		restore()
		got, err = l.unreadable(ctx, p, s, 1, err)
		isWhole(t, got, err)
	})
}

// A segment that a later release wrote is not damaged, but an error: that release can
// read it, so it must not be skipped. What is before it is read.
func TestASegmentOfALaterReleaseIsNotSkipped(t *testing.T) {
	l, _ := open(t, t.TempDir(), fixed(base))
	for i := range 3 {
		publish(t, l, "a", drafts(i, 1, 100))
	}
	p := event.Partition{Tenant: "a"}
	l.rewrite(t, p, 2, func(data []byte) {
		data[0]++
		content := data[:len(data)-4]
		binary.LittleEndian.PutUint32(data[len(content):], crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	})
	if got, err := l.Read(t.Context(), p, 0, 1<<20); err != nil || len(got) != 1 {
		t.Errorf("before it: %v, %v", got, err)
	}
	if got, err := l.Read(t.Context(), p, 1, 1<<20); problem.CodeOf(err) != problem.Internal || got != nil {
		t.Errorf("got %v, %v, want an error", got, err)
	}
}

func TestRecentSegmentsAreOnDiskAndBounded(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	lanes := []event.Partition{{Tenant: "a"}, {Tenant: "b"}, {Tenant: "c"}}
	for i := range 40 {
		for j, p := range lanes {
			publish(t, l, p.Tenant, drafts(100*i+10*j, 2, 64<<10))
		}
		if l.recent.bytes > recentBytes {
			t.Fatalf("%d bytes are kept in memory, want at most %d", l.recent.bytes, recentBytes)
		}
	}
	kept := 0
	for _, p := range lanes {
		for _, s := range l.partitions[p].recent {
			kept += memoryOf(&s)
		}
	}
	if kept != l.recent.bytes || kept < recentBytes/2 {
		t.Errorf("%d bytes are cached, %d are counted", kept, l.recent.bytes)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fromDisk, _ := open(t, dir, fixed(base))
	for _, p := range lanes {
		first := l.partitions[p].recent[0].Number
		if first < 2 {
			t.Fatalf("nothing was dropped of %v", p)
		}
		for after := first - 1; after < 40; after++ {
			got, err := l.Read(t.Context(), p, after, 300<<10)
			want, err2 := fromDisk.Read(t.Context(), p, after, 300<<10)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			same := func(a, b eventlog.Segment) bool { return a.Number == b.Number && reflect.DeepEqual(a.Events, b.Events) }
			if !slices.EqualFunc(want, got, same) { // cmp takes its time over large bodies
				t.Fatalf("after %d: what is in memory is not what is on disk", after)
			}
		}
	}
}

func TestTrimTakesSmallSteps(t *testing.T) {
	at := base
	l, db := open(t, t.TempDir(), func() time.Time { return at })
	for i := range 450 {
		at = base.Add(time.Duration(i) * time.Second)
		publish(t, l, "a", drafts(i, 1, 1))
	}
	for i := range 6 {
		publish(t, l, "large", drafts(i, 8, 256<<10))
	}
	before := db.Commits()
	n, err := l.Trim(t.Context(), base.Add(440*time.Second))
	if err != nil || n != 440 {
		t.Errorf("Trim: %d, %v, want 440", n, err)
	}
	if steps := db.Commits() - before; steps < 3 {
		t.Errorf("440 segments took %d transactions, want 3 or more", steps)
	}
	if got := len(ids(t, l, "a")); got != 10 {
		t.Errorf("%d events are left, want 10", got)
	}
	before = db.Commits()
	if n, err := l.Trim(t.Context(), at.Add(time.Hour)); err != nil || n != 58 {
		t.Errorf("Trim of the rest: %d, %v, want 58", n, err)
	}
	if steps := db.Commits() - before; steps < 5 {
		t.Errorf("the rest took %d transactions, want the large segments in several", steps)
	}
	if l.recent.bytes != 0 {
		t.Errorf("%d bytes of what was trimmed are left in memory", l.recent.bytes)
	}
}

func TestTrimLeavesNothingOfAnEventInItsTable(t *testing.T) {
	dir := t.TempDir()
	l, db := open(t, dir, fixed(base))
	publish(t, l, "a", drafts(0, 3, 10))
	if _, err := l.Trim(t.Context(), base.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var rows, bytes int
	if _, err := db.QueryRow(t.Context(), "SELECT count(*), sum(length(data)) FROM segments", nil, &rows, &bytes); err != nil {
		t.Fatal(err)
	}
	if rows != 1 || bytes != 0 {
		t.Errorf("%d rows of %d bytes are left, want an empty one", rows, bytes)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, dir, fixed(base.Add(time.Hour)))
	publish(t, l, "a", drafts(9, 1, 1))
	if got := content(t, l, event.Partition{Tenant: "a"}); len(got) != 1 || got[0].Number != 2 {
		t.Errorf("after a restart: %v, want segment 2 alone", got)
	}
}

func TestSourcesAreForgottenAfterTwoDays(t *testing.T) {
	at := base
	l, db := open(t, t.TempDir(), func() time.Time { return at })
	p := event.Partition{Tenant: "a"}
	add := func(source string) uint64 {
		t.Helper()
		records := []eventlog.Record{{Sequence: "7", Events: []event.Event{drafts(0, 1, 1)[0].Stamp("a", base)}}}
		n, err := l.Append(t.Context(), p, source, records)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 3 {
		add(string(rune('a' + i)))
		at = at.Add(20 * time.Hour)
	}
	if _, err := l.Trim(t.Context(), base.Add(-time.Hour)); err != nil { // the log's events are within the retention
		t.Fatal(err)
	}
	var left int
	if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM sources", nil, &left); err != nil || left != 2 {
		t.Errorf("%d sources are left, %v, want 2", left, err)
	}
	if n := add("b"); n != 3 {
		t.Errorf("a source of 40 hours ago was appended again, as %d", n)
	}
}

// An operation that fails, or a group that is lost, leaves no trace in what the
// log keeps in memory.
func TestNumbersAfterAFailure(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	publish(t, l, "a", drafts(0, 1, 1))
	limit(t, db, 1) // nothing fits any more, not even a new partition
	for range 3 {
		if err := l.Publish(t.Context(), "a", event.Lanes{Each: 1}, drafts(1, 9, 64<<10)); err == nil {
			t.Fatal("a publish to a full disk was acknowledged")
		}
		if err := l.Publish(t.Context(), "new", event.Lanes{Each: 1}, drafts(1, 9, 64<<10)); err == nil {
			t.Fatal("a publish to a full disk was acknowledged")
		}
	}
	if got, err := l.End(t.Context(), event.Partition{Tenant: "a"}); err != nil || got != 1 {
		t.Errorf("End: %d, %v, want 1", got, err)
	}
	if ends := l.Ends(); len(ends) != 1 {
		t.Errorf("Ends: %v, want that of one partition", ends)
	}
	limit(t, db, 1<<30)
	publish(t, l, "a", drafts(20, 1, 1))
	publish(t, l, "new", drafts(21, 1, 1))
	if diff := cmp.Diff(map[event.Partition]uint64{{Tenant: "a"}: 2, {Tenant: "new"}: 1}, l.Ends()); diff != "" {
		t.Errorf("Ends (-want +got):\n%s", diff)
	}
}
