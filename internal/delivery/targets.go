package delivery

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/internal/integration"
)

// target is an integration with its sink opened: one of sender and exporter.
type target struct {
	in       *integration.Integration
	sender   Sender
	exporter Exporter
	// turn is held while a rejected event is recorded. All of an integration are
	// in one list, so that those of a receiver that refuses everything would
	// meet each other's conflicts without end.
	turn  chan struct{}
	slots slots
	// rejections counts the rejected events since the last delivered one, of all
	// lanes, live and in catch-up. It is of this process and this generation: a
	// start, an update and a restart of the process begin at 0, and on AWS each
	// warm environment of a function counts for itself, so that a long run may be
	// said later, or more than once. To keep it would take a write an event.
	rejections atomic.Int64
}

// targets remembers opened sinks by generation, so that a secret is decrypted
// once in each. Every change of an integration gives it a new generation.
type targets struct {
	mu   sync.Mutex
	open map[targetKey]*target
}

type targetKey struct{ tenant, id string }

// maxTargets bounds the memory for integrations that are gone or idle. Past it
// all are forgotten, which costs opening those in use again.
const maxTargets = 10_000

// target returns the integration's open sink, opening it where it is not.
func (e *Engine) target(ctx context.Context, in *integration.Integration) (*target, error) {
	key := targetKey{in.Tenant, in.ID}
	e.targets.mu.Lock()
	t := e.targets.open[key]
	e.targets.mu.Unlock()
	if t != nil && t.in.Generation == in.Generation {
		return t, nil
	}
	t = &target{in: in, turn: make(chan struct{}, 1), slots: slots{free: e.Settings.InFlight}}
	var err error
	if in.S3 != nil {
		t.exporter, err = e.Sinks.S3(ctx, in)
	} else {
		t.sender, err = e.Sinks.Webhook(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	e.targets.mu.Lock()
	defer e.targets.mu.Unlock()
	if first := e.targets.open[key]; first != nil && first.in.Generation == in.Generation {
		return first, nil // another lane was quicker: all share its slots
	}
	if e.targets.open == nil || len(e.targets.open) >= maxTargets {
		e.targets.open = make(map[targetKey]*target)
	}
	e.targets.open[key] = t
	return t, nil
}

// cached returns the open sink of that generation, or nil.
func (e *Engine) cached(tenant, id string, generation uint64) *target {
	e.targets.mu.Lock()
	defer e.targets.mu.Unlock()
	if t := e.targets.open[targetKey{tenant, id}]; t != nil && t.in.Generation == generation {
		return t
	}
	return nil
}
