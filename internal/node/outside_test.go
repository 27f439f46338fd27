package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Scraping needs no token, so scrapes must not keep others from the API.
func TestManyScrapesAtOnce(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	r := newReceiver(t)
	for i := range 8 {
		register(t, n, fmt.Sprint("hook-", i), r.URL)
	}
	publishTo(t, n, 1)
	r.wait(t, 8)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			// Past the bound of the handler: lags alone must not block each other.
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if lags, err := n.lags(ctx); err != nil || len(lags) != 8 {
				t.Errorf("%d lags, %v, want 8", len(lags), err)
			}
			rec := httptest.NewRecorder()
			n.server.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if rec.Code != http.StatusOK {
				t.Errorf("scrape %d: status %d", i, rec.Code)
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the scrapes hang")
	}
	if all, err := n.life.List(t.Context(), "acme"); err != nil || len(all) != 8 {
		t.Errorf("afterwards: %d integrations, %v", len(all), err)
	}
}

func TestMetricsOnAnAddressOfTheirOwn(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.MetricsAddr = "127.0.0.1:0" })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	status := func(url string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return 0, err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res.StatusCode, err
	}
	for url, want := range map[string]int{
		"http://" + n.MetricsAddr() + "/metrics": http.StatusOK,
		"http://" + n.MetricsAddr() + "/healthz": http.StatusNotFound,
		"http://" + n.Addr() + "/metrics":        http.StatusNotFound,
		"http://" + n.Addr() + "/healthz":        http.StatusOK,
	} {
		if got, err := status(url); err != nil || got != want {
			t.Errorf("%s returns %d, %v, want %d", url, got, err, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := status("http://" + n.MetricsAddr() + "/metrics"); err == nil {
		t.Error("the metrics are served after the end")
	}
}

func TestReadyMeansThatTheDiskTakesWrites(t *testing.T) {
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	written := func() (times int) {
		if _, err := n.db.QueryRow(t.Context(), "SELECT coalesce(sum(written), 0) FROM probes", nil, &times); err != nil {
			t.Fatal(err)
		}
		return times
	}
	rec := httptest.NewRecorder()
	n.server.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if rec.Code != http.StatusOK || written() != 1 {
		t.Errorf("/readyz returns %d and wrote %d times, want once", rec.Code, written())
	}
}
