package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// begin takes the cursor. A SoleOwner has it by reading it.
func (s *step) begin(ctx context.Context, readAt time.Time) error {
	if s.engine.SoleOwner == nil || s.cursor.State == handoff.Live {
		return s.lease(ctx, s.commit)
	}
	s.until = readAt.Add(s.engine.Settings.FollowBudget)
	return nil
}

// lease takes or renews the lease, and saves the cursor and the notes: until every call
// that the step may start has ended, no other actor touches it. A SoleOwner needs no
// lease and writes only what there is to save.
func (s *step) lease(ctx context.Context, commit commitFunc) error {
	s.noteSkipped()
	if s.engine.SoleOwner != nil && s.isSaved() {
		return s.confirmOwned(ctx)
	}
	c := *s.cursor
	now := s.engine.Now()
	c.DueAt = s.leasedUntil(now)
	writes := []store.Write{store.PutCursor{Cursor: &c}}
	if c.State == handoff.Live {
		state, err := s.engine.Store.Partition(ctx, c.Key.Partition())
		if err != nil {
			return err
		}
		sub := state.Find(c.Key.Integration)
		if sub == nil || !handoff.Leave(state, &c, state.AckStateOf(sub), c.DueAt) {
			return store.ErrConflict // it left the live set between the two reads
		}
		c.LeftAt = now
		writes = append(writes, store.PutPartition{State: state})
	}
	if err := commit(ctx, s.withNotes(writes...)...); err != nil {
		return err
	}
	if s.cursor.State == handoff.Live {
		s.leftBy = s.engine.Now()
	}
	s.cursor, s.last, s.notes, s.sent, s.until = &c, c, nil, nil, now.Add(s.engine.Settings.FollowBudget)
	return nil
}

func (s *step) leasedUntil(now time.Time) time.Time {
	switch {
	case s.engine.SoleOwner != nil:
		return now // for the next process, if this one is killed
	case s.in.S3 != nil:
		return now.Add(QuietAfter(s.engine.Settings) + sink.PartTimeout)
	}
	return now.Add(QuietAfter(s.engine.Settings))
}

// isSaved reports whether the cursor is as it was read or last saved.
func (s *step) isSaved() bool {
	c, last := s.cursor, &s.last
	return c.State == handoff.Scheduled && c.Offset == last.Offset && slices.Equal(c.Ahead, last.Ahead) &&
		c.Upload == last.Upload && c.Failures == last.Failures && c.Lagging == last.Lagging && len(s.notes) == 0 && len(s.sent) == 0
}

// confirmOwned lets the step go on if nobody has changed the cursor, as a stop does.
func (s *step) confirmOwned(ctx context.Context) error {
	readAt := s.engine.Now()
	stored, err := s.engine.Store.Cursor(ctx, s.cursor.Key)
	if err != nil {
		return err
	}
	if stored.Version != s.cursor.Version {
		return store.ErrConflict
	}
	s.until = readAt.Add(s.engine.Settings.FollowBudget)
	return nil
}

// release saves the cursor and the notes with the next DueAt, which ends the lease.
func (s *step) release(ctx context.Context, dueAt time.Time) error {
	s.cursor.DueAt = dueAt
	s.noteSkipped()
	return s.commit(ctx, s.withNotes(store.PutCursor{Cursor: s.cursor})...)
}

// commitFunc commits writes: step.commit, or Store.Commit where the deadline of its
// context must hold.
type commitFunc func(ctx context.Context, writes ...store.Write) error

// commit commits the writes. Once the step's context has ended, also while the commit is
// in flight, it commits them as a last write: a long call or file may have outlived the
// context.
func (s *step) commit(ctx context.Context, writes ...store.Write) error {
	write := func(ctx context.Context) error { return s.engine.Store.Commit(ctx, writes...) }
	if s.ctx.Err() == nil {
		err := write(ctx)
		if problem.CodeOf(err) != problem.Unavailable || s.ctx.Err() == nil {
			return err
		}
	}
	err := s.engine.lastWrite(ctx, write)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		s.engine.Logger.Error("ack state not saved at shutdown; events will be sent again",
			"tenant", s.in.Tenant, "integration", s.in.ID, "lane", s.cursor.Key.Lane, "error", err)
	}
	return err
}
