package node

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
)

// Fifteen of sixteen events are delivered beside the one that fails: the integration is
// one event behind, and its health knows of attempts that are not saved yet.
func TestWhatIsDeliveredBesideAFailureIsNotBehind(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), `"n":0}`) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer receiver.Close()
	register(t, n, "hook", receiver.URL)
	publishTo(t, n, 16)
	in, err := n.life.Get(t.Context(), "acme", "hook")
	if err != nil {
		t.Fatal(err)
	}
	var h *health.Health
	until(t, "one event is behind, after some attempts", func() bool {
		lags, err := n.lags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all, err := n.health.Of(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		h = all[0]
		t.Logf("lags are %+v, health is %+v", lags, h)
		return len(lags) == 1 && lags[0].events == 1 && h.State == health.Failing && h.Failing.Attempts > 2
	})
	if h.Behind.Events != 1 || h.Failing.EventName != "order.created" || h.Failing.Status != 503 || len(h.Failing.EventID) != 36 {
		t.Errorf("health is %+v, failing %+v", h, h.Failing)
	}
	if c, err := n.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: "hook"}); err != nil || c.Failures >= h.Failing.Attempts {
		t.Errorf("%d attempts are saved, %v: this proves nothing of those in memory", c.Failures, err)
	}
}
