package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sleepNot(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// The first look reads as much as --limit shows, of one action, and later ones each second
// as far as what was seen.
func TestLogsFollowReadsNoMoreThanItMust(t *testing.T) {
	cli, calls := newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		if n == 5 {
			return 404, problemBody("not_found", "It is gone.")
		}
		return 200, logOf(c, newestFirst(498+max(n, 2), 1))
	})
	_, stdout, _ := cli.run(nil, "integrations", "logs", "a", "-f", "--limit", "201", "--action", "retry_triggered")
	var got []string
	for _, c := range *calls {
		got = append(got, strings.TrimPrefix(c.path, "/api/v1/org/integrations/eventstream/a/logs?action=retry_triggered"))
	}
	if diff := cmp.Diff([]string{"&limit=200", "&after=200&limit=200", "&limit=200", "&limit=200", "&limit=200"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]time.Duration{time.Second, time.Second, time.Second}, cli.slept); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(stdout, "\n"); n != 201+2 {
		t.Errorf("%d lines", n)
	}
}

// A long limit is read in calls of at most a thousand events.
func TestEventsLimitOverSeveralPages(t *testing.T) {
	cli, queries := pullServer(t, func(n int, w http.ResponseWriter) {
		size := 1000
		if n == 3 {
			size = 500
		}
		page(w, fmt.Sprint("p", n), false, strings.Repeat(eventLine, size))
	})
	code, out, _ := cli.run(nil, "integrations", "events", "shop", "--json", "--limit", "2500")
	if diff := cmp.Diff([]string{"earliest 1000 0", "p1 1000 0", "p2 500 0"}, *queries); code != exitOK || diff != "" || strings.Count(out, "\n") != 2500 {
		t.Errorf("exit code %d, %d lines, %s", code, strings.Count(out, "\n"), diff)
	}
}

// The delay doubles up to half a minute, begins again after a success, and a longer
// Retry-After does not lengthen it beyond that.
func TestEventsFollowDelays(t *testing.T) {
	cli, _ := pullServer(t, func(n int, w http.ResponseWriter) {
		switch n {
		case 8:
			page(w, "p1", true)
		case 10:
			w.Header().Set("Retry-After", "300")
			w.WriteHeader(http.StatusTooManyRequests)
		case 11:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	cli.run(nil, "integrations", "events", "shop", "--follow")
	var want []time.Duration
	for _, seconds := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 1, 30} {
		want = append(want, seconds*time.Second)
	}
	if diff := cmp.Diff(want, cli.slept); diff != "" {
		t.Error(diff)
	}
}

// Without --follow a failure ends the command, and nothing is said where nothing was read.
func TestEventsWithoutFollowEndAtAFailure(t *testing.T) {
	c, queries := pullServer(t, func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })
	code, _, errs := c.run(nil, "integrations", "events", "shop")
	if code != exitUnavailable || len(*queries) != 1 || len(c.slept) != 0 || strings.Contains(errs, "To go on") {
		t.Errorf("exit code %d after %d calls and %v, %q", code, len(*queries), c.slept, errs)
	}
	c, _ = pullServer(t, func(int, http.ResponseWriter) {
		c.cancel()
		panic(http.ErrAbortHandler) // a response might be there before the interrupt
	})
	if code, _, errs := c.run(nil, "integrations", "events", "shop"); code != exitFailure || errs != "sluice: interrupted\n" {
		t.Errorf("interrupted: exit code %d, %q", code, errs)
	}
}

func TestEventsThatAreNoJSON(t *testing.T) {
	cli, _ := pullServer(t, func(_ int, w http.ResponseWriter) { page(w, "p1", true, eventLine, "<html>\n") })
	if code, out, errs := cli.run(nil, "integrations", "events", "shop"); code != exitFailure || out != "" || !strings.Contains(errs, `a line that is not an event: "<html>"`) {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}

// An id that is pasted into a shell is one word there.
func TestEventsHintCanBePasted(t *testing.T) {
	cli, _ := newCLI(t, func(_ int, _ call, h http.Header) (int, any) {
		h.Set("Sluice-Next", "p1")
		h.Set("Sluice-At-End", "true")
		return 200, object{}
	})
	if _, _, errs := cli.run(nil, "integrations", "events", "a b"); errs != "To go on from here: sluice integrations events 'a b' --position p1\n" {
		t.Errorf("%q", errs)
	}
}
