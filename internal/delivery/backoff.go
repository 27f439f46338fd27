package delivery

import (
	"math/rand/v2"
	"time"
)

// Backoff returns the pause after the given number of failed attempts in a row,
// counted from 1: exponential with full jitter, a random time up to
// min·2^(failures-1), capped at max. With 1 s and 5 min:
//
//	failures     1    2    3    4     5     6     7     8      9      10…
//	at most     1s   2s   4s   8s   16s   32s   64s  128s   256s   300s
//
// The jitter spreads integrations that failed together (AWS Architecture Blog,
// "Exponential Backoff And Jitter").
func Backoff(failures int, lowest, highest time.Duration, r *rand.Rand) time.Duration {
	ceiling := doubled(lowest, failures, highest)
	return time.Duration(r.Int64N(int64(ceiling) + 1))
}

// doubled is first·2^(n-1), capped, without overflow.
func doubled(first time.Duration, n int, limit time.Duration) time.Duration {
	d := first
	for range n - 1 {
		if d >= limit/2 {
			return limit
		}
		d *= 2
	}
	return min(d, limit)
}

// random is the source of the jitter.
func (e *Engine) random() *rand.Rand {
	if e.Rand != nil {
		return e.Rand
	}
	return rand.New(usual{})
}

// usual is the source of math/rand/v2's own functions, which may be used by
// several goroutines at once.
type usual struct{}

// Uint64 implements rand.Source.
func (usual) Uint64() uint64 { return rand.Uint64() }
