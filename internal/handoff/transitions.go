package handoff

import "time"

// Join puts the cursor's integration on the roster, if it has everything the
// partition has delivered and nothing half done; it reports whether it does.
// Where the partition has delivered more, there is more to read first. dueAt is
// when the cursor is taken back, zero for never. Both records must be committed
// together.
func Join(r *Record, c *Cursor, mode Mode, wakeDelay time.Duration, dueAt, now time.Time) bool {
	if r.Delivered > c.Position.Segment || c.Position.Index > 0 || len(c.Ahead) > 0 {
		return false
	}
	r.Followers = append(r.without(c.Key.Integration), Follower{
		ID:         c.Key.Integration,
		Generation: c.Generation,
		Mode:       mode,
		WakeDelay:  wakeDelay,
		From:       c.Position.Segment,
		JoinedAt:   now,
	})
	c.State, c.DueAt = Following, dueAt
	c.Failures, c.FailingSince = 0, time.Time{}
	return true
}

// Leave takes the cursor's integration off the roster, to be driven from the
// given progress at dueAt. It reports whether the integration was there. Both
// records must be committed together.
func Leave(r *Record, c *Cursor, at Progress, dueAt time.Time) bool {
	f := r.Find(c.Key.Integration)
	if f == nil || f.Generation != c.Generation || c.State != Following {
		return false
	}
	r.Followers = r.without(f.ID)
	c.State, c.Progress, c.DueAt = Driven, at, dueAt
	return true
}

// Park stops a cursor for the given new generation, taking it off the roster if
// it is there. It reports whether the record was changed too; then both must be
// committed together.
func Park(r *Record, c *Cursor, generation uint64) (recordChanged bool) {
	if f := r.Find(c.Key.Integration); f != nil {
		recordChanged = Leave(r, c, Progress{Position: Position{Segment: r.Start(f)}}, time.Time{})
	}
	if c.State != Finished {
		c.State = Parked
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
	if c.State == Parked {
		c.State, c.DueAt = Driven, now
	}
}

// Finish ends a cursor that has read its lane to a replay's end.
func Finish(c *Cursor) { c.State, c.DueAt = Finished, time.Time{} }
