package awsenv

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// As many calls at a time as fanout makes use their connections again: over TLS, each new one
// would cost more than the call.
func TestConnectionsOfCallsAtATimeAreUsedAgain(t *testing.T) {
	const rounds = 3
	var opened atomic.Int32
	var all sync.WaitGroup // all calls of a round are there before one of them is answered
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		all.Done()
		all.Wait()
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := awsConfig().HTTPClient
	for range rounds {
		all.Add(keptConnections)
		var calls sync.WaitGroup
		for range keptConnections {
			calls.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
				if err != nil {
					t.Error(err)
					return
				}
				response, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
			})
		}
		calls.Wait()
	}
	if n := opened.Load(); n > keptConnections+keptConnections/4 {
		t.Errorf("%d connections for %d rounds of %d calls", n, rounds, keptConnections)
	}
}
