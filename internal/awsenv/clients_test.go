package awsenv

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// meeting holds calls back until all of a round are there, or one has given up.
type meeting struct {
	missing atomic.Int32
	all     chan struct{}
}

func (m *meeting) wait(r *http.Request) {
	if m.missing.Add(-1) == 0 {
		close(m.all)
	}
	select {
	case <-m.all:
	case <-r.Context().Done():
	}
}

// As many calls at a time as fanout makes use their connections again: over TLS, each new one
// would cost more than the call.
func TestConnectionsOfCallsAtATimeAreUsedAgain(t *testing.T) {
	const rounds = 3
	var opened atomic.Int32
	var round atomic.Pointer[meeting]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { round.Load().wait(r) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := awsConfig().HTTPClient
	call := func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(r)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	for range rounds {
		m := &meeting{all: make(chan struct{})}
		m.missing.Store(keptConnections)
		round.Store(m)
		var calls sync.WaitGroup
		for range keptConnections {
			calls.Go(func() {
				if err := call(); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	}
	if n := opened.Load(); n > keptConnections+keptConnections/4 {
		t.Errorf("%d connections for %d rounds of %d calls", n, rounds, keptConnections)
	}
}
