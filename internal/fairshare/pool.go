package fairshare

import "sync"

// Pool is an amount, such as bytes of memory, that tenants share by the same rule: a
// tenant may hold as much as it leaves free. Nothing waits for a Pool; a caller that
// gets nothing tells its client to come back. It is safe for concurrent use.
type Pool struct {
	mu   sync.Mutex
	free int64
	held map[string]int64 // by tenant; none of them is 0
}

// NewPool returns a pool of the given size.
func NewPool(size int64) *Pool {
	return &Pool{free: size, held: make(map[string]int64)}
}

// Hold is what one call of a tenant holds of a pool, at first nothing. The zero Hold
// holds nothing and cannot grow. It is not safe for concurrent use.
type Hold struct {
	pool   *Pool
	tenant string
	amount int64
}

// Hold returns a Hold of the tenant. Release it when the call is done.
func (p *Pool) Hold(tenant string) Hold { return Hold{pool: p, tenant: tenant} }

// Grow makes h at least the given amount. If the tenant would then hold more than it
// leaves free, h stays as it is and Grow returns false.
func (h *Hold) Grow(amount int64) bool {
	more := amount - h.amount
	if more <= 0 {
		return true
	}
	if h.pool == nil || !h.pool.take(h.tenant, more) {
		return false
	}
	h.amount = amount
	return true
}

// Release gives everything back. Further calls have no effect until h grows again.
func (h *Hold) Release() {
	if h.amount > 0 {
		h.pool.give(h.tenant, h.amount)
		h.amount = 0
	}
}

func (p *Pool) take(tenant string, amount int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[tenant]+amount > p.free-amount {
		return false
	}
	p.held[tenant] += amount
	p.free -= amount
	return true
}

func (p *Pool) give(tenant string, amount int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += amount
	if p.held[tenant] -= amount; p.held[tenant] == 0 {
		delete(p.held, tenant)
	}
}
