package node

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
)

// call makes a request of a tenant to the node's API.
func call(t *testing.T, n *Node, tenant, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	key, err := auth.OpenOwnKey(filepath.Join(n.config.Data, auth.OwnKeyName))
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Sign(tenant, auth.Scopes(), time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	n.server.Handler.ServeHTTP(w, r)
	return w
}

const (
	eventsPath = "/api/v1/org/events"
	streamPath = "/api/v1/org/integrations/eventstream"
	oneEvent   = `{"name":"order.created","payload":{}}`
)

// With little space left only publishes are refused: what is in the log is delivered,
// and everything that frees space works.
func TestPublishesLeaveTheReserveOfTheDisk(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	r := newReceiver(t)
	register(t, n, "hook", r.URL)
	if w := call(t, n, "acme", http.MethodPost, streamPath+"/hook/_stop", ""); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	if w := call(t, n, "acme", http.MethodPost, eventsPath, oneEvent); w.Code != http.StatusAccepted {
		t.Fatal(w.Body)
	}
	free := int64(defaultReserve - 1)
	n.reserve.unwritten = func() (int64, error) { return 0, nil }
	n.reserve.space = func() (int64, int64, error) { return free, 1 << 40, nil }

	w := call(t, n, "acme", http.MethodPost, eventsPath, oneEvent)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "SLUICE_DISK_RESERVE") {
		t.Errorf("a publish got %d %s, want a 503 that names the setting", w.Code, w.Body)
	}
	if w := call(t, n, "acme", http.MethodGet, "/readyz", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/readyz is %d while publishes are refused", w.Code)
	}
	if w := call(t, n, "acme", http.MethodPost, streamPath+"/hook/_start", ""); w.Code != http.StatusOK {
		t.Errorf("a start got %d %s", w.Code, w.Body)
	}
	r.wait(t, 1)
	if w := call(t, n, "acme", http.MethodPost, streamPath+"/hook/_stop", ""); w.Code != http.StatusOK {
		t.Errorf("a stop got %d %s", w.Code, w.Body)
	}
	if w := call(t, n, "acme", http.MethodDelete, streamPath+"/hook", ""); w.Code != http.StatusOK {
		t.Errorf("a deletion got %d %s", w.Code, w.Body)
	}
	free++
	if w := call(t, n, "acme", http.MethodPost, eventsPath, oneEvent); w.Code != http.StatusAccepted {
		t.Errorf("with the reserve free a publish got %d %s", w.Code, w.Body)
	}
}

func TestTheReserveOfSmallDisks(t *testing.T) {
	for _, c := range []struct {
		setting, total, want int64
	}{
		{defaultReserve, 1 << 40, defaultReserve},
		{defaultReserve, 1 << 30, 1 << 30 / 20},
		{1 << 30, 1 << 30, 1 << 30}, // the operator's word
		{0, 1 << 30, 0},
	} {
		const log = 1000 // what the database will take once it is copied
		free, refusals := c.want+log, 0
		r := &reserve{
			bytes: c.setting, space: func() (int64, int64, error) { return free, c.total, nil },
			unwritten: func() (int64, error) { return log, nil }, refused: func() { refusals++ },
		}
		if err := r.check(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		free--
		if err := r.check(); (err == nil) != (c.want == 0) {
			t.Errorf("%+v: with a byte less: %v", c, err)
		}
		if (refusals == 1) != (c.want > 0) {
			t.Errorf("%+v: %d refusals were told", c, refusals)
		}
	}
}

// A quota is of a tenant: another one's publishes pass. What a trim frees counts no
// more.
func TestQuotasOfATenant(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.TenantLogBytes, c.TenantPublishRate = 2000, 1000 })
	defer closeNode(t, n)
	slow := openNodeWith(t, t.TempDir(), func(c *Config) { c.TenantPublishRate = 1 }) // a call takes a quarter of an hour
	defer closeNode(t, slow)
	kilobyte := `{"name":"order.created","payload":{"a":"` + strings.Repeat("x", 960) + `"}}`
	publishUntil := func(n *Node, tenant, setting string, wait, least int) {
		t.Helper()
		for i := range 20 {
			w := call(t, n, tenant, http.MethodPost, eventsPath, kilobyte)
			if w.Code == http.StatusAccepted {
				continue
			}
			after, _ := strconv.Atoi(w.Header().Get("Retry-After"))
			if w.Code != http.StatusTooManyRequests || after < wait || !strings.Contains(w.Body.String(), setting) || i < least {
				t.Errorf("publish %d got %d after %d s: %s; want a 429 of %s for %d s after %d or more", i, w.Code, after, w.Body, setting, wait, least)
			}
			return
		}
		t.Errorf("20 publishes passed")
	}
	publishUntil(n, "acme", "SLUICE_TENANT_LOG_BYTES", 600, 1)
	if _, err := n.log.Trim(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if w := call(t, n, "acme", http.MethodPost, eventsPath, kilobyte); w.Code != http.StatusAccepted {
		t.Errorf("after a trim: %d %s", w.Code, w.Body)
	}
	publishUntil(n, "other", "SLUICE_TENANT_LOG_BYTES", 600, 1)
	publishUntil(slow, "acme", "SLUICE_TENANT_PUBLISH_RATE", 1, 1)
	publishUntil(slow, "other", "SLUICE_TENANT_PUBLISH_RATE", 1, 1)
}
