package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pullServer responds to pulls, and records their queries.
func pullServer(t *testing.T, respond func(n int, w http.ResponseWriter)) (*cli, *[]string) {
	t.Helper()
	var queries []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.Query().Get("position")+" "+r.URL.Query().Get("limit")+" "+r.URL.Query().Get("wait"))
		if r.URL.Path != "/api/v1/org/integrations/eventstream/shop/events" || r.Header.Get("Accept") != "application/x-ndjson" {
			t.Errorf("%s, accepting %s", r.URL.Path, r.Header.Get("Accept"))
		}
		respond(len(queries), w)
	}))
	t.Cleanup(server.Close)
	return &cli{t: t, vars: map[string]string{"SLUICE_URL": server.URL, "SLUICE_TOKEN": testToken}}, &queries
}

const eventLine = `{"id":"i1","tenant":"acme","name":"order.created","published_at":"2026-03-01T12:00:00.000Z","payload":{"n":1}}` + "\n"

func page(w http.ResponseWriter, next string, atEnd bool, lines ...string) {
	w.Header().Set("Sluice-Next", next)
	if atEnd {
		w.Header().Set("Sluice-At-End", "true")
	}
	_, _ = w.Write([]byte(strings.Join(lines, "")))
}

func TestEventsArePrintedToTheEnd(t *testing.T) {
	cli, queries := pullServer(t, func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			page(w, "p1.a", false, eventLine)
		case 2:
			page(w, "p1.b", false) // the filter dropped all of it
		case 3:
			w.Header().Set("Sluice-Lost", "7")
			page(w, "p1.c", true, eventLine)
		}
	})
	code, out, errs := cli.run(nil, "integrations", "events", "shop")
	line := "2026-03-01T12:00:00.000Z  order.created  i1  {\"n\":1}\n"
	want := "sluice: 7 events here can no longer be read, as the log is damaged\nTo go on from here: sluice integrations events shop --position p1.c\n"
	if code != exitOK || out != line+line || errs != want {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	if diff := cmp.Diff([]string{"earliest 1000 0", "p1.a 1000 0", "p1.b 1000 0"}, *queries); diff != "" {
		t.Error(diff)
	}
}

func TestEventsAsJSONAndLimited(t *testing.T) {
	cli, queries := pullServer(t, func(n int, w http.ResponseWriter) {
		page(w, "p1.a", false, eventLine, eventLine)
	})
	code, out, _ := cli.run(nil, "integrations", "events", "shop", "--json", "--limit", "4", "--position", "latest")
	if code != exitOK || out != strings.Repeat(eventLine, 4) {
		t.Errorf("exit code %d, %q", code, out)
	}
	if diff := cmp.Diff([]string{"latest 4 0", "p1.a 2 0"}, *queries); diff != "" {
		t.Error(diff)
	}
	if code, _, errs := cli.run(nil, "integrations", "events", "shop", "--limit", "-1"); code != exitUsage {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// --follow survives what passes, and ends with what does not.
func TestEventsFollow(t *testing.T) {
	cli, queries := pullServer(t, func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			page(w, "p1.a", true, eventLine)
		case 2:
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"error_code":"too_many_requests","message":"Slow down.","request_id":"r"}`))
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 4:
			page(w, "p1.b", true)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error_code":"not_found","message":"Gone.","request_id":"r"}`))
		}
	})
	code, out, errs := cli.run(nil, "integrations", "events", "shop", "--follow", "--json")
	if code != exitNotFound || out != eventLine || !strings.Contains(errs, "--position p1.b") || !strings.Contains(errs, "trying again in 5s") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
	if diff := cmp.Diff([]string{"earliest 1000 20", "p1.a 1000 20", "p1.a 1000 20", "p1.a 1000 20", "p1.b 1000 20"}, *queries); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]time.Duration{5 * time.Second, 2 * time.Second}, cli.slept); diff != "" {
		t.Error(diff)
	}
}

func TestEventsFollowEndsWithCtrlC(t *testing.T) {
	var c *cli
	c, _ = pullServer(t, func(n int, w http.ResponseWriter) {
		if n == 2 {
			c.cancel()
		}
		page(w, "p1.a", true)
	})
	code, _, errs := c.run(nil, "integrations", "events", "shop", "--follow")
	if code != exitOK || !strings.Contains(errs, "To go on from here") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestEventsOfSomethingElseAreNoEvents(t *testing.T) {
	cli, _ := pullServer(t, func(_ int, w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) })
	if code, _, errs := cli.run(nil, "integrations", "events", "shop"); code != exitFailure || !strings.Contains(errs, "not from this API") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}
