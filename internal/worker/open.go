package worker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lru"
)

// targets has the open sinks, so that an integration is read, and its secrets
// decrypted, once per generation: every change of an integration gives it a new one.
// A sink in use stays, and so do its slots, which all its users share. Of the others,
// those that were used last stay.
type targets struct {
	mu   sync.Mutex
	used map[id]*Target
	idle *lru.Cache[id, *Target]
}

const (
	// defaultIdle is Options.Idle for a process that has little memory: some 10,000 sinks.
	defaultIdle = 64 << 20
	// targetBytes is about what an open sink takes that has called its receiver by TLS,
	// without the texts of its integration.
	targetBytes = 5 << 10
	nameBytes   = 16 // of a string, without its text
)

func newTargets(idle int) targets {
	return targets{used: make(map[id]*Target), idle: lru.New[id](cmp.Or(idle, defaultIdle), (*Target).memory)}
}

// memory returns about how many bytes an open sink takes, without its connections,
// which have a bound of their own. The sink has the secrets in clear text, besides.
func (t *Target) memory() int {
	in := t.Integration
	n := targetBytes + len(in.Tenant) + len(in.ID)
	for _, name := range slices.Concat(in.Filter.Names, in.Filter.Entities) {
		n += nameBytes + len(name)
	}
	if h := in.Webhook; h != nil {
		n += 2 * (len(h.URL) + len(h.APIKey.Ciphertext) + len(h.SigningSecret.Ciphertext) + len(h.PreviousSecret.Ciphertext))
	}
	if s := in.S3; s != nil {
		n += 2 * len(s.SecretAccessKey.Ciphertext)
	}
	return n
}

// Target returns the integration's open sink, and opens it if needed. Until the
// caller's Release nobody closes it or gives it another's slots.
func (r *Registry) Target(ctx context.Context, in *integration.Integration) (*Target, error) {
	if t := r.Cached(in.Tenant, in.ID, in.Generation); t != nil {
		return t, nil
	}
	t := &Target{Integration: in, Slots: NewSlots(r.options.InFlight, in.Tenant, r.options.Calls), registry: r}
	var err error
	if in.S3 != nil {
		t.Exporter, err = r.options.Sinks.S3(ctx, in)
	} else {
		t.Sender, err = r.options.Sinks.Webhook(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	use, old := r.targets.put(t)
	if old != nil {
		old.close()
	}
	return use, nil
}

// Cached returns the open sink of a generation, or nil. The caller must Release it.
func (r *Registry) Cached(tenant, integration string, generation uint64) *Target {
	return r.targets.use(id{tenant, integration}, generation)
}

// Integration returns the integration of an open sink, or nil: in a generation it does
// not change.
func (r *Registry) Integration(tenant, integration string, generation uint64) *integration.Integration {
	t := r.Cached(tenant, integration, generation)
	if t == nil {
		return nil
	}
	defer t.Release()
	return t.Integration
}

// Release ends a use of an open sink. Call it once for each Target and each Cached.
func (t *Target) Release() {
	for _, old := range t.registry.targets.release(t) {
		old.close()
	}
}

// find returns the sink that is open for a key, or nil. ts.mu is held.
func (ts *targets) find(key id) *Target {
	if t := ts.used[key]; t != nil {
		return t
	}
	t, _ := ts.idle.Get(key)
	return t
}

// use returns the open sink of a generation, in use, or nil.
func (ts *targets) use(key id, generation uint64) *Target {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.find(key)
	if t == nil || t.Integration.Generation != generation {
		return nil
	}
	ts.hold(key, t)
	return t
}

// hold begins a use. ts.mu is held.
func (ts *targets) hold(key id, t *Target) {
	t.uses++
	ts.idle.Take(key)
	ts.used[key] = t
}

// put adds a sink that was opened, and returns the one to use and one to close, if any.
func (ts *targets) put(t *Target) (use, old *Target) {
	key := id{t.Integration.Tenant, t.Integration.ID}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	switch first := ts.find(key); {
	case first == nil:
	case first.Integration.Generation == t.Integration.Generation:
		ts.hold(key, first)
		return first, t // another lane opened it first: all lanes share its slots
	case first.Integration.Generation > t.Integration.Generation:
		t.uses++ // stopped while it was opened: keep the current one
		return t, nil
	default:
		old = ts.drop(key, first)
	}
	ts.hold(key, t)
	return t, old
}

// drop removes a sink, and returns it if it must be closed now: one in use is closed by
// its last Release. ts.mu is held.
func (ts *targets) drop(key id, t *Target) (old *Target) {
	delete(ts.used, key)
	ts.idle.Take(key)
	if t.uses > 0 {
		return nil
	}
	return t
}

// release ends a use of a sink, and returns those to close.
func (ts *targets) release(t *Target) (old []*Target) {
	key := id{t.Integration.Tenant, t.Integration.ID}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.uses--
	switch {
	case t.uses > 0:
		return nil
	case ts.used[key] != t: // dropped meanwhile
		return []*Target{t}
	}
	delete(ts.used, key)
	return ts.idle.Put(key, t)
}

// all returns the open sinks.
func (ts *targets) all() []*Target {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	all := slices.Collect(maps.Values(ts.used))
	for _, t := range ts.idle.All() {
		all = append(all, t)
	}
	return all
}

// forget drops the sink of a generation below the given one, and returns it if it must
// be closed now.
func (ts *targets) forget(key id, below uint64) (old *Target) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.find(key)
	if t == nil || t.Integration.Generation >= below {
		return nil
	}
	return ts.drop(key, t)
}
