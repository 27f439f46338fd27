package worker

import (
	"context"

	"github.com/sluicehq/sluice/internal/fairshare"
)

// Calls bounds the calls to receivers in flight in the process, fairly between
// tenants. Receivers that respond have places of their own: those that hang, however
// many, never hold them up. A nil *Calls has no bound.
type Calls struct {
	responding *fairshare.Limiter // it responded to the last attempt
	unproven   *fairshare.Limiter // it failed, or none was made yet
}

// NewCalls returns a bound of n calls in flight, of which there must be at least two.
func NewCalls(n int) *Calls {
	return &Calls{responding: fairshare.New(n - n/2), unproven: fairshare.New(n / 2)}
}

// of returns the places for a call to a receiver.
func (c *Calls) of(responding bool) *fairshare.Limiter {
	switch {
	case c == nil:
		return nil
	case responding:
		return c.responding
	default:
		return c.unproven
	}
}

// Reserve takes a place for a call to a receiver that may hang, which give gives back. It
// waits for one until ctx ends.
func (c *Calls) Reserve(ctx context.Context, tenant string) (give func(), err error) {
	place := c.of(false)
	if err := place.Acquire(ctx, tenant); err != nil {
		return nil, err
	}
	return func() { place.Give(tenant) }, nil
}

// Held returns how many calls are in flight.
func (c *Calls) Held() int { return c.responding.Held() + c.unproven.Held() }

// Waiting returns how many workers wait for a place.
func (c *Calls) Waiting() int { return c.responding.Waiting() + c.unproven.Waiting() }
