package bench

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// receivers take events by TLS, as those of customers do. The path of a call
// says how many milliseconds it takes to answer, and for which tenant.
type receivers struct {
	server *httptest.Server
	root   string // file with the certificate

	mu    sync.Mutex
	taken map[string]int // by tenant
}

func newReceivers(t testing.TB) *receivers {
	r := &receivers{taken: map[string]int{}, root: filepath.Join(t.TempDir(), "root.pem")}
	r.server = httptest.NewTLSServer(r)
	t.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
	})
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
	if err := os.WriteFile(r.root, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// ServeHTTP takes one call.
func (r *receivers) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	delay, tenant, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	if ms, _ := strconv.Atoi(delay); ms > 0 {
		timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken[tenant]++
	w.WriteHeader(http.StatusOK)
}

// url is where a tenant's webhooks are called.
func (r *receivers) url(tenant string, delayMS int) string {
	return r.server.URL + "/" + strconv.Itoa(delayMS) + "/" + tenant
}

// of is how many events the tenant's webhooks have taken.
func (r *receivers) of(tenant string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken[tenant]
}
