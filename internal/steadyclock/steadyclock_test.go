package steadyclock

import (
	"testing"
	"time"
)

// system is a clock that can be set, over time that passes.
type system struct {
	wall   time.Time
	passed time.Duration
}

func (s *system) pass(d time.Duration) { s.wall, s.passed = s.wall.Add(d), s.passed+d }

func TestJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		jump     time.Duration
		followed bool
	}{
		"a correction":           {time.Second, true},
		"a night's sleep":        {10 * time.Hour, true},
		"a day":                  {MaxStep, true},
		"more than a day":        {MaxStep + time.Millisecond, false},
		"a year":                 {year, false},
		"set back":               {-time.Hour, true},
		"set back by a year":     {-year, true},
		"as far as Go can count": {1<<63 - 1 - 2*time.Hour, false},
		"back as far as it can":  {-1<<63 + 1 + 2*time.Hour, true},
		"nothing happens at all": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			s := &system{wall: began}
			held := 0
			clock := NewOver(func() time.Time { return s.wall }, func(time.Time) time.Duration { return s.passed }, func(lead time.Duration) {
				if held++; lead != c.jump {
					t.Errorf("it says that the clock is %v ahead", lead)
				}
			})
			s.pass(time.Minute)
			s.wall = s.wall.Add(c.jump)
			for range 130 { // minutes
				now, want := clock.Now(), began.Add(s.passed)
				if c.followed {
					want = s.wall
				}
				if !now.Equal(want) {
					t.Fatalf("after %v it is %v, want %v", s.passed, now, want)
				}
				s.pass(time.Minute)
			}
			if wants := map[bool]int{true: 0, false: 3}[c.followed]; held != wants {
				t.Errorf("it said %d times in two hours and more that the clock is ahead, want %d", held, wants)
			}
			s.wall = began.Add(s.passed) // set right
			if now := clock.Now(); !now.Equal(s.wall) {
				t.Errorf("once the clock is right, it is %v, want %v", now, s.wall)
			}
		})
	}
}

// The times keep their monotonic reading, also while a jump is not followed: how long
// something takes does not depend on how the clock is set.
func TestTimesStayComparable(t *testing.T) {
	ahead := time.Duration(0)
	began := time.Now()
	clock := NewOver(func() time.Time { return time.Now().Add(ahead) },
		func(time.Time) time.Duration { return time.Since(began) }, func(time.Duration) {})
	first := clock.Now()
	ahead = 1000 * time.Hour
	if second := clock.Now(); second == second.Round(0) || second.Sub(first) < 0 || second.Sub(first) > time.Hour {
		t.Errorf("%v, then %v", first, second)
	}
	if now := New(nil).Now(); now == now.Round(0) {
		t.Errorf("%v has no monotonic reading", now)
	}
}

// A delivery reads the clock several times, so a reading must cost no more than the system's.
func TestTheClockIsCheckedOnceASecond(t *testing.T) {
	s := &system{wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	checks := 0
	clock := NewOver(func() time.Time { return s.wall }, func(time.Time) time.Duration { checks++; return s.passed }, func(time.Duration) {})
	checks = 0
	for range 10_000 {
		s.pass(time.Millisecond)
		if now := clock.Now(); !now.Equal(s.wall) {
			t.Fatalf("it is %v, want %v", now, s.wall)
		}
	}
	if checks == 0 || checks > 10 {
		t.Errorf("%d checks in 10 s", checks)
	}
	s.wall = s.wall.Add(MaxStep + time.Minute)
	if now := clock.Now(); now.Equal(s.wall) {
		t.Error("it follows a jump right after a check")
	}
}
