package node

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/steadyclock"
	"github.com/sluicehq/sluice/internal/usertext"
)

// shifted is the system's clock, set ahead by so much; onHeld as for steadyclock.New.
func shifted(by *atomic.Int64, onHeld func(time.Duration)) *steadyclock.Clock {
	began := time.Now()
	return steadyclock.NewOver(
		func() time.Time { return time.Now().Add(time.Duration(by.Load())) },
		func(time.Time) time.Duration { return time.Since(began) }, onHeld)
}

const year = 365 * 24 * time.Hour

// stamps returns the times of the events of a tenant, in the order of the log.
func stamps(t *testing.T, n *Node) []time.Time {
	t.Helper()
	var all []time.Time
	for after := uint64(0); ; {
		segments, err := n.log.Read(t.Context(), event.Partition{Tenant: "acme"}, after, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(segments) == 0 {
			return all
		}
		for _, s := range segments {
			for _, e := range s.Events {
				all = append(all, e.PublishedAt)
			}
			after = s.Number
		}
	}
}

// A clock that jumps a year ahead, and back after a while, leaves no trace: events carry
// the time that it is, no replay ends early, and nothing is trimmed.
func TestAClockThatJumpsAYearAhead(t *testing.T) {
	var by atomic.Int64
	held := 0
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.clock = shifted(&by, func(time.Duration) { held++ }) })
	defer closeNode(t, n)
	began := time.Now()
	publishTo(t, n, 1)
	by.Store(int64(year))
	publishTo(t, n, 1)
	if _, final, err := n.log.OffsetForTime(t.Context(), event.Partition{Tenant: "acme"}, began.Add(time.Hour)); err != nil || final {
		t.Errorf("the end of a replay in an hour is final: %v, %v", final, err)
	}
	n.trim(t.Context(), n.now())
	by.Store(0)
	publishTo(t, n, 1)
	got := stamps(t, n)
	if len(got) != 3 {
		t.Fatalf("%d of 3 events are in the log", len(got))
	}
	for i, at := range got {
		if at.Before(began.Add(-time.Second)) || at.After(time.Now()) {
			t.Errorf("event %d was published at %v", i, at)
		}
	}
	if held != 1 {
		t.Errorf("the operator was told %d times within an hour, want once", held)
	}
}

// The operator's log says that the clock is not followed.
func TestTheLogSaysThatTheClockIsNotFollowed(t *testing.T) {
	var by atomic.Int64
	var log bytes.Buffer
	n := &Node{config: DefaultConfig(), logger: slog.New(slog.NewTextHandler(&log, nil))}
	n.config.clock = shifted(&by, n.clockHeld)
	n.startClock()
	by.Store(int64(year))
	n.now()
	for _, part := range []string{"level=ERROR", "is not followed", "by=8760h0m0s", "restart the node"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, &log)
		}
	}
}

// openAt opens a node on a directory, with a clock that is ahead by so much.
func openAt(t *testing.T, dir string, ahead time.Duration) (*Node, error) {
	t.Helper()
	var by atomic.Int64
	by.Store(int64(ahead))
	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", dir, true
	config.clock = shifted(&by, func(time.Duration) {})
	return Open(t.Context(), config, slog.New(slog.DiscardHandler))
}

// A start refuses a clock that is more than a day behind the log, or that would have all
// of it deleted, says why and what to do, and changes nothing. Once the operator has said
// that the clock is right, the node starts, and publishes at the time that it is.
func TestAStartRefusesAClockThatCannotBeRight(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		first, then time.Duration // how far the clock is ahead
		refused     string        // "" if the start is not refused
	}{
		"a little behind":                        {23 * time.Hour, 0, ""},
		"more than a day behind":                 {25 * time.Hour, 0, "1.0 days later"},
		"a year behind":                          {year, 0, "365.0 days later"},
		"after a month off":                      {0, 32 * day, ""},
		"so long off that everything is expired": {0, 40 * day, "40.0 days earlier"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "the data")
			n, err := openAt(t, dir, c.first)
			if err != nil {
				t.Fatal(err)
			}
			publishTo(t, n, 2)
			if _, _, err := n.log.OffsetForTime(t.Context(), event.Partition{Tenant: "acme"}, n.now().Add(-time.Second)); err != nil { // keeps a time too
				t.Fatal(err)
			}
			closeNode(t, n)

			n, err = openAt(t, dir, c.then)
			if c.refused == "" && err == nil {
				closeNode(t, n)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "start again: sluice reset-clock --data "+usertext.ShellWord(dir)) {
				t.Fatalf("the start: %v, want a refusal that says %q", err, c.refused)
			}
			resetStamps(t, dir, c.then)
			n, err = openAt(t, dir, c.then)
			if err != nil {
				t.Fatal(err)
			}
			defer closeNode(t, n)
			publishTo(t, n, 1)
			got := stamps(t, n)
			if at, now := got[len(got)-1], time.Now().Add(c.then); at.After(now) || at.Before(now.Add(-time.Minute)) {
				t.Errorf("the next event is published at %v, want %v", at, now)
			}
			if c.first == 0 {
				return // what is expired may be gone
			}
			if len(got) != 3 {
				t.Errorf("%d of 3 events are in the log", len(got))
			}
			n.trim(t.Context(), n.now().Add(40*day))
			if got := stamps(t, n); len(got) > 0 {
				t.Errorf("%d events are still in the log when their retention has passed", len(got))
			}
		})
	}
}

func resetStamps(t *testing.T, dir string, ahead time.Duration) {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := eventlog.ResetStamps(t.Context(), db, time.Now().Add(ahead)); err != nil {
		t.Fatal(err)
	}
}
