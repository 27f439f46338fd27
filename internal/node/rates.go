package node

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// rates is an Observer that also keeps how fast the receivers of each tenant have taken
// events lately, from how long calls and files took. It is safe for concurrent use.
type rates struct {
	delivery.Observer
	inFlight int // calls at a time to one integration
	now      func() time.Time

	mu      sync.Mutex
	tenants map[string]*rate
}

type rate struct {
	perEvent float64 // seconds
	at       time.Time
}

const (
	rateWeight = 1.0 / 16  // of the newest attempt
	rateLife   = time.Hour // for which it is worth something
	maxRates   = 10_000    // tenants; it begins anew then
)

func observeRates(o delivery.Observer, inFlight int, now func() time.Time) *rates {
	return &rates{Observer: o, inFlight: inFlight, now: now, tenants: make(map[string]*rate)}
}

// AttemptEnded implements worker.Observer.
func (r *rates) AttemptEnded(in *integration.Integration, v sink.Verdict, events int, began, ended time.Time) {
	r.Observer.AttemptEnded(in, v, events, began, ended)
	if v.Outcome != sink.Delivered || events == 0 {
		return
	}
	perEvent := ended.Sub(began).Seconds() / float64(events)
	if in.S3 == nil {
		perEvent /= float64(r.inFlight)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.tenants[in.Tenant]
	if last == nil {
		if len(r.tenants) >= maxRates {
			clear(r.tenants)
		}
		r.tenants[in.Tenant] = &rate{perEvent, ended}
		return
	}
	if ended.Sub(last.at) < rateLife {
		perEvent = last.perEvent + rateWeight*(perEvent-last.perEvent)
	}
	*last = rate{perEvent, ended}
}

// of returns how many events a second a tenant's receivers take, 0 if that is not known.
func (r *rates) of(tenant string) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.tenants[tenant]
	if last == nil || last.perEvent <= 0 || r.now().Sub(last.at) >= rateLife {
		return 0
	}
	return 1 / last.perEvent
}
