package runner

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/fairshare"
)

// turnLimit is how long a step keeps its turn. One that takes longer waits for its
// receiver or for the log, which has a limit of its own.
const turnLimit = 10 * time.Millisecond

// takeTurn waits for a tenant's turn to run a step. While the receivers of thousands of
// integrations fail at once, steps are nothing but work for the processor: so few run
// at a time that publishing and live delivery find it free soon, and a turn lasts for
// as long again as its step ran, so that half of the processors is left to them.
func takeTurn(ctx context.Context, turns *fairshare.Limiter, tenant string) (end func(), err error) {
	if err := turns.Acquire(ctx, tenant); err != nil {
		return nil, err
	}
	began := time.Now()
	give := sync.OnceFunc(func() { turns.Give(tenant) })
	overdue := time.AfterFunc(turnLimit, give)
	return func() {
		if overdue.Stop() {
			time.AfterFunc(time.Since(began), give)
		}
	}, nil
}
