// Package quota limits what each tenant may publish into a node's log.
package quota

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// burst is how much of the rate may come at once: that of ten seconds.
const burst = 10 * time.Second

// logWait is when a tenant with a full log may try again: events leave the log about
// that often.
const logWait = 10 * time.Minute

// Quota limits the publishes of each tenant. It is safe for concurrent use.
type Quota struct {
	Rate     int64                     // bytes a second; 0: no limit
	LogBytes int64                     // in the log; 0: no limit
	InLog    func(tenant string) int64 // bytes that a tenant has there
	Now      func() time.Time

	mu    sync.Mutex
	paid  map[string]time.Time // until when a tenant's rate is used up, by tenant; long past: not in it
	prune time.Time            // when to remove what is long past
}

// Admit counts a publish of the given bytes. It returns a problem.TooManyRequests that
// names the limit if the tenant has used it up. Calls at the same time may pass LogBytes
// by what they write.
func (q *Quota) Admit(tenant string, bytes int) error {
	if q.LogBytes > 0 {
		if has := q.InLog(tenant); has+int64(bytes) > q.LogBytes {
			p := problem.New(problem.TooManyRequests, "The log has %d bytes of this tenant; with the %d of this call that is more than the limit of %d "+
				"(SLUICE_TENANT_LOG_BYTES). Events leave the log when their retention ends; the operator can raise the limit or purge the tenant.", has, bytes, q.LogBytes)
			p.RetryAfter = logWait
			return p
		}
	}
	if q.Rate <= 0 {
		return nil
	}
	if wait := q.spend(tenant, time.Duration(float64(bytes)/float64(q.Rate)*float64(time.Second))); wait > 0 {
		p := problem.New(problem.TooManyRequests, "This tenant has published more than its limit of %d bytes a second (SLUICE_TENANT_PUBLISH_RATE). "+
			"Try again in %v.", q.Rate, wait.Round(10*time.Millisecond))
		p.RetryAfter = wait
		return p
	}
	return nil
}

// spend uses up the rate for the given time, or returns how long to wait until it can.
// A call larger than the burst passes when nothing is used up.
func (q *Quota) spend(tenant string, cost time.Duration) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.Now()
	q.forget(now)
	from := now.Add(-burst)
	paid := q.paid[tenant]
	if paid.Before(from) {
		paid = from
	}
	if wait := paid.Add(min(cost, burst)).Sub(now); wait > 0 {
		return wait
	}
	if q.paid == nil {
		q.paid = map[string]time.Time{}
	}
	q.paid[tenant] = paid.Add(cost)
	return 0
}

// forget removes the tenants that have their whole burst again, now and then.
func (q *Quota) forget(now time.Time) {
	if now.Before(q.prune) {
		return
	}
	q.prune = now.Add(burst)
	for tenant, paid := range q.paid {
		if paid.Before(now.Add(-burst)) {
			delete(q.paid, tenant)
		}
	}
}
