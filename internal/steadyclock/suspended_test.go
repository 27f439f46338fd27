package steadyclock

import (
	"os"
	"testing"
	"time"
)

// A machine that was suspended for days is at the right time at once when it goes on: that
// time has passed. A jump that no suspension explains is not followed, as a wrong clock may
// well hold steady.
func TestSuspension(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		slept, jump time.Duration
		silent      bool          // the system does not tell its uptime
		ahead       time.Duration // how far the clock is ahead of that before
	}{
		"suspended for an hour":                     {time.Hour, 0, false, time.Hour},
		"suspended for three days":                  {3 * day, 0, false, 3 * day},
		"suspended for a year":                      {year, 0, false, year},
		"suspended, then a little wrong":            {3 * day, time.Hour, false, 3*day + time.Hour},
		"suspended, then a year wrong":              {3 * day, year, false, 3 * day},
		"a year wrong":                              {0, year, false, 0},
		"suspended for three days, but nobody says": {3 * day, 0, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			wall, monotonic, up, looks := began, time.Duration(0), 5*time.Hour, 0
			s := newSuspension(wall, func() (time.Duration, bool) { looks++; return up, !c.silent })
			clock := NewOver(func() time.Time { return wall }, func(now time.Time) time.Duration { return s.passed(now, monotonic) }, func(time.Duration) {})
			pass := func() { wall, monotonic, up = wall.Add(time.Second), monotonic+time.Second, up+time.Second }
			for range 100 {
				pass()
				clock.Now()
			}
			wall, up = wall.Add(c.slept+c.jump), up+c.slept
			for i := range 100 {
				pass()
				if got, want := clock.Now(), began.Add(time.Duration(101+i)*time.Second+c.ahead); !got.Equal(want) {
					t.Fatalf("it is %v, want %v", got, want)
				}
			}
			if looks > 2 {
				t.Errorf("the uptime was read %d times, for one jump", looks)
			}
		})
	}
}

func TestUptimeOfLinux(t *testing.T) {
	if _, err := os.Stat("/proc/uptime"); err != nil {
		t.Skip("the system has no /proc/uptime")
	}
	before, ok := uptime()
	after, ok2 := uptime()
	if !ok || !ok2 || before <= 0 || after < before {
		t.Errorf("it is %v, %v, then %v, %v", before, ok, after, ok2)
	}
}
