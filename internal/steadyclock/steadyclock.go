// Package steadyclock is the clock of a node. It follows the system's clock, except for
// a jump far ahead while the process runs: what is stamped, trimmed or given up by such a
// clock cannot be undone when it is set right again.
package steadyclock

import (
	"sync"
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
	read   func() (wall time.Time, passed time.Duration)
	onHeld func(lead time.Duration)

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
	return NewOver(func() (time.Time, time.Duration) { // one call at a time
		t := time.Now()
		return t, s.passed(t, t.Sub(began))
	}, onHeld)
}

// NewOver is New over another clock, for tests: read returns what it says, and how much
// time has passed since some moment, however the clock was set.
func NewOver(read func() (wall time.Time, passed time.Duration), onHeld func(lead time.Duration)) *Clock {
	wall, passed := read()
	return &Clock{read: read, onHeld: onHeld, followed: wall, at: passed, warn: passed}
}

// Now returns the system's time. After a jump of more than MaxStep ahead it returns the
// time that it would be without that jump, until the system's clock is set right.
func (c *Clock) Now() time.Time {
	now, lead := c.step()
	if lead > 0 {
		c.onHeld(lead)
	}
	return now
}

// step returns the time, and the lead of the system's clock if onHeld must be called.
func (c *Clock) step() (now time.Time, lead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, passed := c.read()
	expected := c.followed.Add(passed - c.at)
	lead = wall.Round(0).Sub(expected.Round(0)) // without the monotonic readings, which never jump
	if lead <= MaxStep {
		if lead > 0 { // one that was set back may return
			c.followed, c.at = wall, passed
		}
		return wall, 0
	}
	if passed < c.warn {
		return expected, 0
	}
	c.warn = passed + warnEvery
	return expected, lead
}
