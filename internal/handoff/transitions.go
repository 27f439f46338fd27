package handoff

import "time"

// Join adds the cursor's integration to the live set and reports whether it did.
// It refuses if the cursor is behind the low watermark, as there is more to read
// first, or if a segment is only partly acknowledged. dueAt is when Advance takes
// the integration out of the live set again, zero for never. Commit both
// in one transaction.
func Join(p *PartitionState, c *Cursor, mode Mode, wakeDelay time.Duration, dueAt, now time.Time) bool {
	if p.LowWatermark > c.Offset.Segment || c.Offset.Index > 0 || len(c.Ahead) > 0 {
		return false
	}
	p.Live = append(p.without(c.Key.Integration), Subscriber{
		ID:         c.Key.Integration,
		Generation: c.Generation,
		Mode:       mode,
		WakeDelay:  wakeDelay,
		From:       c.Offset.Segment,
		JoinedAt:   now,
		Tally:      c.Tally,
	})
	c.State, c.DueAt, c.Lagging = Live, dueAt, false
	c.EndOutage()
	return true
}

// Leave removes the cursor's integration from the live set and schedules the
// cursor for dueAt, with the given ack state. It reports whether the integration
// was live. Commit both in one transaction.
func Leave(p *PartitionState, c *Cursor, at AckState, dueAt time.Time) bool {
	sub := p.Find(c.Key.Integration)
	if sub == nil || sub.Generation != c.Generation || c.State != Live {
		return false
	}
	p.Live = p.without(sub.ID)
	c.State, c.AckState, c.DueAt = Scheduled, at, dueAt
	return true
}

// Pause stops a cursor, gives it the new generation, and removes its integration
// from the live set. It reports whether the partition state changed; if so,
// commit both in one transaction.
func Pause(p *PartitionState, c *Cursor, generation uint64) (stateChanged bool) {
	if sub := p.Find(c.Key.Integration); sub != nil {
		stateChanged = Leave(p, c, p.AckStateOf(sub), time.Time{})
	}
	if c.State != Finished {
		c.State = Paused
	}
	c.Generation, c.DueAt = generation, time.Time{}
	c.EndOutage()
	c.Slowness, c.SlowUntil, c.Lagging = 0, time.Time{}, false
	return stateChanged
}

// Resume gives a cursor the new generation and, if it is paused, schedules it for
// now, from its offset. A finished cursor stays finished.
func Resume(c *Cursor, generation uint64, now time.Time) {
	c.Generation = generation
	if c.State == Paused {
		c.State, c.DueAt = Scheduled, now
	}
}

// Move gives a paused cursor another offset. A file that may exist is not written again: its
// events are, as far as they are after the offset.
func Move(c *Cursor, to Offset) { c.AckState, c.Upload = AckState{Offset: to, Tally: c.Tally}, nil }

// Skip gives a cursor the ack state without an event that was skipped, and makes it due
// now if it is scheduled: its stream goes on at once. A step that advances it loses it with
// that, and may have calls in flight for a while, as live delivery after a leave.
func Skip(c *Cursor, at AckState, now time.Time) {
	c.AckState = at
	if c.State == Scheduled {
		c.DueAt, c.LeftAt = now, now
	}
}

// EndOutage forgets the failed attempts.
func (c *Cursor) EndOutage() {
	c.Failures, c.FailingSince, c.Cause, c.Status, c.TriedAt, c.TookMS = 0, time.Time{}, "", 0, time.Time{}, 0
}

// Finish ends the cursor of a replay that is complete in its lane.
func Finish(c *Cursor) { c.State, c.DueAt = Finished, time.Time{} }
