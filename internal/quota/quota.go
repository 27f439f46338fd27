// Package quota limits what each tenant may publish into a node's log.
package quota

import (
	"maps"
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

// Admit counts a publish of the given bytes, by tenant. If one of the tenants has used up
// a limit, it counts nothing and returns a problem.TooManyRequests that names both. Calls at
// the same time may pass LogBytes by what they write.
func (q *Quota) Admit(bytes map[string]int) error {
	if err := q.checkLog(bytes); err != nil || q.Rate <= 0 {
		return err
	}
	tenant, wait := q.spend(bytes)
	if wait <= 0 {
		return nil
	}
	p := problem.New(problem.TooManyRequests, "Tenant %q has published more than its limit of %d bytes a second (SLUICE_TENANT_PUBLISH_RATE). "+
		"Nothing of this call was published; try again in %v.", tenant, q.Rate, wait.Round(10*time.Millisecond))
	p.RetryAfter = wait
	return p
}

func (q *Quota) checkLog(bytes map[string]int) error {
	if q.LogBytes <= 0 {
		return nil
	}
	for tenant, more := range bytes {
		if has := q.InLog(tenant); has+int64(more) > q.LogBytes {
			p := problem.New(problem.TooManyRequests, "The log has %d bytes of tenant %q; with the %d of this call that is more than the limit of %d "+
				"(SLUICE_TENANT_LOG_BYTES). Events leave the log when their retention ends; the operator can raise the limit or purge the tenant.", has, tenant, more, q.LogBytes)
			p.RetryAfter = logWait
			return p
		}
	}
	return nil
}

// spend uses up the rate of each tenant for the time that its bytes take. If one cannot, it
// uses up nothing and returns the tenant that has to wait longest, and how long. A call
// larger than the burst passes when nothing is used up.
func (q *Quota) spend(bytes map[string]int) (last string, longest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.Now()
	q.forget(now)
	until := make(map[string]time.Time, len(bytes))
	for tenant, n := range bytes {
		paid, cost := later(q.paid[tenant], now.Add(-burst)), q.costOf(n)
		if wait := paid.Add(min(cost, burst)).Sub(now); wait > longest {
			last, longest = tenant, wait
		}
		until[tenant] = paid.Add(cost)
	}
	if longest > 0 {
		return last, longest
	}
	if q.paid == nil {
		q.paid = map[string]time.Time{}
	}
	maps.Copy(q.paid, until)
	return "", 0
}

// costOf returns for how long the bytes use up the rate.
func (q *Quota) costOf(bytes int) time.Duration {
	return time.Duration(float64(bytes) / float64(q.Rate) * float64(time.Second))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
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
