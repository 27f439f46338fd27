package node

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluicehq/sluice/internal/node/operator"
	"github.com/sluicehq/sluice/internal/problem"
)

func usageOf(t *testing.T, dir, tenant string) operator.Usage {
	t.Helper()
	usage, err := operator.UsageOf(t.Context(), dir, tenant)
	if err != nil || len(usage) != 1 {
		t.Fatalf("the usage of %s is %v, %v", tenant, usage, err)
	}
	return usage[0]
}

// The same answers come from a running node and from the data directory of a stopped
// one; a purge deletes all of one tenant and nothing of another.
func TestPurge(t *testing.T) {
	for _, running := range []bool{true, false} {
		dir, r := t.TempDir(), newReceiver(t)
		n := openNode(t, dir)
		register(t, n, "hook", r.URL)
		publishTo(t, n, 5)
		r.wait(t, 5)
		for range 3 {
			if w := call(t, n, "other", http.MethodPost, eventsPath, oneEvent); w.Code != http.StatusAccepted {
				t.Fatal(w.Body)
			}
		}
		if !running {
			closeNode(t, n)
		}
		acme, other := usageOf(t, dir, "acme"), usageOf(t, dir, "other")
		if acme.Integrations != 1 || acme.Events != 5 || acme.Bytes == 0 || acme.Oldest.IsZero() || other.Integrations != 0 || other.Events != 3 {
			t.Errorf("running %v: acme uses %+v, other %+v", running, acme, other)
		}
		if usage, err := operator.UsageOf(t.Context(), dir, "unknown"); err != nil || len(usage) != 0 {
			t.Errorf("running %v: an unknown tenant uses %v, %v", running, usage, err)
		}
		if _, err := operator.PurgeIn(t.Context(), dir, "unknown"); err == nil {
			t.Errorf("running %v: an unknown tenant was purged", running)
		}
		purged, err := operator.PurgeIn(t.Context(), dir, "acme")
		if err != nil || purged != (operator.Purged{Integrations: 1, Events: 5, Bytes: acme.Bytes}) {
			t.Errorf("running %v: purged %+v, %v", running, purged, err)
		}
		if acme := usageOf(t, dir, "acme"); acme.Integrations != 0 || acme.Events != 0 || acme.Bytes != 0 || !acme.Oldest.IsZero() {
			t.Errorf("running %v: acme uses %+v after the purge", running, acme)
		}
		if got := usageOf(t, dir, "other"); got != other {
			t.Errorf("running %v: other uses %+v, and used %+v before the purge of acme", running, got, other)
		}
		if !running {
			n = openNode(t, dir)
		}
		// The tenant may come back, and nothing of its first life does.
		if _, err := n.life.Get(t.Context(), "acme", "hook"); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("running %v: the integration is there after the purge: %v", running, err)
		}
		register(t, n, "hook", r.URL)
		publishTo(t, n, 2)
		r.wait(t, 2)
		closeNode(t, n)
		if len(r.seen) != 7 {
			t.Errorf("running %v: %d different events arrived, want the 5 before and 2 after", running, len(r.seen))
		}
	}
}

// The socket gives power over every tenant: it is its owner's alone. That of a killed
// process does not keep the next one from opening its own.
func TestTheOperatorsSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, operator.SocketName)
	if err := os.WriteFile(path, nil, 0o644); err != nil { // as a killed process leaves its socket
		t.Fatal(err)
	}
	n := openNode(t, dir)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if _, err := operator.UsageOf(t.Context(), dir, ""); err != nil {
		t.Error(err)
	}
	closeNode(t, n)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	if _, err := operator.UsageOf(t.Context(), t.TempDir(), ""); err == nil {
		t.Error("a directory without a database was taken for one of a node")
	}
}
