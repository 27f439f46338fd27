package node

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluicehq/sluice/internal/delivery"
)

// A stop and a delete of an integration whose catch-up waits for a place do not wait.
func TestStopDoesNotWaitForAPlace(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.MaxCatchUps = 1 })
	defer closeNode(t, n)
	called := make(chan struct{}, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called <- struct{}{} }))
	defer receiver.Close()
	taken := n.places.Steps[delivery.CatchUp]
	if err := taken.Acquire(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	register(t, n, "hook", receiver.URL)
	if _, err := n.life.Stop(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.life.Start(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	if err := n.life.Delete(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	register(t, n, "hook", receiver.URL)
	publishTo(t, n, 1)
	select {
	case <-called:
		t.Fatal("it was called without a place")
	default:
	}
	taken.Give("another")
	<-called
}

// Calls never take the descriptors of clients and the database, whatever is set.
func TestCallsLeaveDescriptorsToOthers(t *testing.T) {
	for _, tt := range []struct{ setting, limit, want int }{
		{0, 1024, 341},
		{0, 1 << 20, 2048},
		{0, 20, 16},
		{500, 1024, 500},
		{500, 120, 60},
		{5000, 65536, 5000},
		{500, 1, 2},
	} {
		if got := boundCalls(tt.setting, tt.limit); got != tt.want {
			t.Errorf("SLUICE_MAX_CALLS=%d with %d descriptors: %d calls, want %d", tt.setting, tt.limit, got, tt.want)
		}
	}
}
