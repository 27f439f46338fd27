package kinesis

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
)

// Keys keeps the keys of calls that are done once, for all processes.
type Keys interface {
	// Take claims a key until the given time and returns what is known of its call. Its
	// errors are those of package idempotency, and Unavailable.
	Take(ctx context.Context, key idempotency.Key, until time.Time) (idempotency.Claim, error)
	// Settle stores what is accepted of the call, and gives the key back.
	Settle(ctx context.Context, claim idempotency.Claim) error
	// Drop forgets the key.
	Drop(ctx context.Context, claim idempotency.Claim) error
}

const (
	claimLife  = 30 * time.Second // of a call whose context has no deadline
	settleTime = 2 * time.Second
)

// PublishOnce implements publish.Log. The key is claimed before anything is put, and settled
// with what the stream accepted: a repeat puts the rest, with the same ids. If the process
// ends in between, or the key cannot be settled, the claim runs out with the call's context,
// and a repeat then puts again, with the same ids, what may have been accepted.
func (s *Stream) PublishOnce(ctx context.Context, key idempotency.Key, lanes event.Lanes, drafts []event.Draft) error {
	until, ok := ctx.Deadline()
	if !ok {
		until = s.now().Add(claimLife)
	}
	claim, err := s.keys.Take(ctx, key, until)
	if err != nil {
		return err
	}
	claim.Seed.Fill(drafts)
	if claim.Done {
		return nil
	}
	records, err := pack(key.Tenant, lanes, drafts, claim.Left, s.now())
	if err != nil { // nothing is put, and the caller has to change the call
		s.settle(ctx, claim, s.keys.Drop)
		return err
	}
	left, err := s.put(ctx, records)
	claim.Left, claim.Done = indicesOf(left), len(left) == 0
	s.settle(ctx, claim, s.keys.Settle)
	if claim.Done {
		return nil
	}
	return problem.Wrap(err, codeOf(err), "The stream did not accept %d of the call's %d events. Send the same call again in a moment, with the same Idempotency-Key: the others are not published again.",
		len(claim.Left), len(drafts))
}

// settle ends a claim, also when the caller is gone. Its error is ignored: the events are
// accepted or not whatever becomes of the key, and the claim runs out.
func (s *Stream) settle(ctx context.Context, claim idempotency.Claim, how func(context.Context, idempotency.Claim) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	_ = how(ctx, claim)
}
