package delivery_test

import (
	"sync"

	"github.com/sluicehq/sluice/internal/integration"
)

// openSinks has the sinks that a process has open.
type openSinks struct {
	mu   sync.Mutex
	of   []*integration.Integration // each time one was opened
	open int
}

// opened passes on whether a sink could be opened, and counts it.
func (o *openSinks) opened(in *integration.Integration, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.of = append(o.of, in)
		o.open++
	}
	return err
}

func (o *openSinks) closed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open--
}

// unreleased returns how many sinks a process that has ended still uses: one
// that is taken and never released keeps its memory and connections for as long as the
// process lives. Those that nobody uses are closed when their generation ends.
func (p *process) unreleased() int {
	for _, in := range p.sinks.of {
		p.registry.Retire(in.Tenant, in.ID, in.Generation+1)
	}
	return p.sinks.open
}

// checkReleased checks the last processes, which users have left too.
func (w *world) checkReleased() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.slots[:w.Slots] {
		if n := p.unreleased(); n > 0 {
			w.fail("%d sinks are in use after the end of everything that used them", n)
		}
	}
}
