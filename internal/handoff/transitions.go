package handoff

import "time"

// Join puts the cursor's integration on the roster, if it has everything the
// partition has delivered and nothing half done; it reports whether it does.
// Where the partition has delivered more, there is more to read first. dueAt is
// when the cursor is taken back, zero for never. Both records must be committed
// together.
func Join(r *PartitionState, c *Cursor, mode Mode, wakeDelay time.Duration, dueAt, now time.Time) bool {
	if r.LowWatermark > c.Offset.Segment || c.Offset.Index > 0 || len(c.Ahead) > 0 {
		return false
	}
	r.Live = append(r.without(c.Key.Integration), Subscriber{
		ID:         c.Key.Integration,
		Generation: c.Generation,
		Mode:       mode,
		WakeDelay:  wakeDelay,
		From:       c.Offset.Segment,
		JoinedAt:   now,
	})
	c.State, c.DueAt = Live, dueAt
	c.Failures, c.FailingSince = 0, time.Time{}
	return true
}

// Leave takes the cursor's integration off the roster, to be driven from the
// given progress at dueAt. It reports whether the integration was there. Both
// records must be committed together.
func Leave(r *PartitionState, c *Cursor, at AckState, dueAt time.Time) bool {
	f := r.Find(c.Key.Integration)
	if f == nil || f.Generation != c.Generation || c.State != Live {
		return false
	}
	r.Live = r.without(f.ID)
	c.State, c.AckState, c.DueAt = Scheduled, at, dueAt
	return true
}

// Park stops a cursor for the given new generation, taking it off the roster if
// it is there. It reports whether the record was changed too; then both must be
// committed together.
func Pause(r *PartitionState, c *Cursor, generation uint64) (recordChanged bool) {
	if f := r.Find(c.Key.Integration); f != nil {
		recordChanged = Leave(r, c, AckState{Offset: Offset{Segment: r.AckedBy(f)}}, time.Time{})
	}
	if c.State != Finished {
		c.State = Paused
	}
	c.Generation, c.DueAt = generation, time.Time{}
	c.Failures, c.FailingSince = 0, time.Time{}
	c.Slowness, c.SlowUntil = 0, time.Time{}
	return recordChanged
}

// Resume makes a parked cursor driven again, for the given new generation, from
// where it stands. A finished one stays as it is.
func Resume(c *Cursor, generation uint64, now time.Time) {
	c.Generation = generation
	if c.State == Paused {
		c.State, c.DueAt = Scheduled, now
	}
}

// Finish ends a cursor that has read its lane to a replay's end.
func Finish(c *Cursor) { c.State, c.DueAt = Finished, time.Time{} }
