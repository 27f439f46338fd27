// Package steadyclock is the clock of a node. It follows the system's clock, except for
// a jump far ahead while the process runs: what is stamped, trimmed or given up by such a
// clock cannot be undone when it is set right again.
package steadyclock

import (
	"sync"
	"sync/atomic"
	"time"
)

// MaxStep is how far the system's clock may get ahead, between two readings, of the time
// that has passed, which on Linux includes that for which the machine was suspended. A
// clock that was behind may jump by less; if such a jump was a mistake, its effects are over
// within a day. That a clock holds steady after a longer jump says nothing: a wrong one does.
const MaxStep = 24 * time.Hour

// warnEvery is the minimum time between two calls of onHeld.
const warnEvery = time.Hour

// Clock tells the time. It is safe for concurrent use.
type Clock struct {
	system func() time.Time
	passed func(system time.Time) time.Duration
	onHeld func(lead time.Duration)

	// recent is the last reading of the system's clock that was checked and followed, in
	// ns since 1970; 0 if it was not followed.
	recent atomic.Int64

	mu       sync.Mutex
	followed time.Time     // the furthest reading of the system's clock that was followed
	at       time.Duration // when that was
	warn     time.Duration // when onHeld may be called again
}

// New returns a clock that trusts what the system's says now. onHeld is called, at most
// once an hour, when that is further ahead than MaxStep and so not followed; it must not
// block.
func New(onHeld func(lead time.Duration)) *Clock {
	began := time.Now()
	s := newSuspension(began, uptime)
	passed := func(now time.Time) time.Duration { return s.passed(now, now.Sub(began)) }
	return NewOver(time.Now, passed, onHeld)
}

// NewOver is New over another clock, for tests. passed returns how much time has passed
// since some moment, however the clock was set; there is one call at a time.
func NewOver(system func() time.Time, passed func(system time.Time) time.Duration, onHeld func(lead time.Duration)) *Clock {
	now := system()
	at := passed(now)
	return &Clock{system: system, passed: passed, onHeld: onHeld, followed: now, at: at, warn: at}
}

// Now returns the system's time. After a jump of more than MaxStep ahead it returns the
// time that it would be without that jump, until the system's clock is set right.
func (c *Clock) Now() time.Time {
	now := c.system()
	if since := now.UnixNano() - c.recent.Load(); 0 <= since && since < int64(checkEvery) {
		return now
	}
	now, lead := c.check()
	if lead > 0 {
		c.onHeld(lead)
	}
	return now
}

// checkEvery is the time by the system's clock between two checks of it. A jump that fits
// into it does no harm, and a delivery reads the clock several times.
const checkEvery = time.Second

// check returns the time, and the lead of the system's clock if onHeld must be called.
func (c *Clock) check() (now time.Time, lead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.system()
	passed := c.passed(wall)
	expected := c.followed.Add(passed - c.at)
	lead = wall.Round(0).Sub(expected.Round(0)) // without the monotonic readings, which never jump
	if lead <= MaxStep {
		if lead > 0 { // one that was set back may return
			c.followed, c.at = wall, passed
		}
		c.recent.Store(wall.UnixNano())
		return wall, 0
	}
	c.recent.Store(0)
	if passed < c.warn {
		return expected, 0
	}
	c.warn = passed + warnEvery
	return expected, lead
}
