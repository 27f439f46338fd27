// Package backoff computes the delays between attempts: doubling, capped, jittered.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Ceiling is first·2^(n-1), capped at limit, without overflow. n counts from 1.
func Ceiling(first time.Duration, n int, limit time.Duration) time.Duration {
	d := first
	for range n - 1 {
		if d >= limit/2 {
			return limit
		}
		d *= 2
	}
	return min(d, limit)
}

// Full returns the delay after n failed attempts in a row, counted from 1:
// exponential with full jitter, a random time up to first·2^(n-1), capped at
// limit. With 1 s and 5 min:
//
//	n            1    2    3    4     5     6     7     8      9      10…
//	at most     1s   2s   4s   8s   16s   32s   64s  128s   256s   300s
//
// The jitter spreads clients that failed together (AWS Architecture Blog,
// "Exponential Backoff And Jitter"). A nil r is the usual source.
func Full(first time.Duration, n int, limit time.Duration, r *rand.Rand) time.Duration {
	ceiling := int64(Ceiling(first, n, limit)) + 1
	if r == nil {
		return time.Duration(rand.Int64N(ceiling))
	}
	return time.Duration(r.Int64N(ceiling))
}

// Wait waits for d. If ctx ends first it returns the cause.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
