// Package idempotency has what both shapes need so that a publish call with an
// Idempotency-Key is done once: the key, the ids of the call's events, and the errors of a
// repeat. The node's log keeps the keys beside the events; on AWS they have items of their
// own.
package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// Life is how long a key is kept, from its first call on.
const Life = 24 * time.Hour

// MaxBytes limits the name of a key.
const MaxBytes = 255

// Key is the key of a call.
type Key struct {
	Tenant string // of the call; "" if it names none
	Name   string // as the caller chose it, unique within the tenant
	Body   Digest
}

// Digest identifies the content of a call.
type Digest = [sha256.Size]byte

// Mismatch is the error of a call whose key belongs to another body.
func Mismatch() error {
	return problem.New(problem.IdempotencyMismatch,
		"The Idempotency-Key was sent with another body in the last 24 hours. Nothing of this call was published; use a new key for it.")
}

// InProgress is the error of a call whose key is that of a call in progress. Try again after
// the given time.
func InProgress(after time.Duration) error {
	p := problem.New(problem.KeyInProgress,
		"A call with this Idempotency-Key is in progress. Send this call again in a moment, with the same key, to get its response.")
	p.RetryAfter = max(after, time.Second)
	return p
}

// Claim is a key that one call holds where several processes publish, until it settles the
// key or the claim runs out.
type Claim struct {
	Key     Key
	Seed    Seed
	Done    bool      // every event is accepted
	Left    []int     // the events that are not, by their place in the call; nil: all, unless Done
	Token   string    // of the claim
	Expires time.Time // when the key is forgotten
}

// Seed makes the ids of a call's events, so that a repeat has those of the first call
// without any of them being kept.
type Seed [16]byte

// NewSeed returns a seed for events with the current time.
func NewSeed() (Seed, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Seed{}, problem.Wrap(err, problem.Internal, "An event id could not be generated.")
	}
	return Seed(id), nil
}

// Fill gives ids to the drafts that have none: UUIDv7s with the time of the seed, which grow
// from one draft to the next for the first 4,096 of them.
func (s Seed) Fill(drafts []event.Draft) {
	for i := range drafts {
		if drafts[i].ID == "" {
			drafts[i].ID = s.id(i)
		}
	}
}

// id has the time of the seed, the place of the event in the 12 bits after it, and random
// bits, which nobody without the seed can tell.
func (s Seed) id(place int) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(s[:len(s):len(s)], uint64(place)))
	var id uuid.UUID
	copy(id[:6], s[:6])
	copy(id[8:], sum[:])
	binary.BigEndian.PutUint16(id[6:], uint16(place)&0xfff|7<<12) // version 7
	id[8] = id[8]&0x3f | 0x80                                     // the variant of RFC 9562
	return id.String()
}
