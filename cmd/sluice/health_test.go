package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	noon = "2026-03-01T12:00:00.000Z"
	one1 = "2026-03-01T13:00:00.000Z"
)

func healthy() object {
	return object{
		"state": "healthy", "reason": nil, "delivered_through": noon, "behind": object{"events": 0, "bytes": 0, "oldest_published_at": nil},
		"failing": nil, "restart_by": nil, "last_delivered_at": noon, "progress": nil,
	}
}

func failing() object {
	h := healthy()
	h["state"], h["behind"] = "failing", object{"events": 26, "bytes": 3000, "oldest_published_at": one1}
	h["failing"] = object{
		"since": noon, "attempts": 14, "next_attempt_at": one1, "event_id": "01890a5d-ac96-774b-bcce-b302099a8057", "event_name": "order.created",
		"status_code": 503, "cause": "service unavailable (HTTP status code 503)", "stops_at": one1,
	}
	return h
}

func listed(id string, health object) object {
	return object{"id": id, "status": "running", "integration_type": "permanent", "callback_parameters": object{"callback_url": "https://a.example.com"}, "health": health}
}

func TestListShowsHealth(t *testing.T) {
	stopped := healthy()
	stopped["state"], stopped["behind"] = "stopped", object{"events": 1, "bytes": 1, "oldest_published_at": one1}
	query := ""
	cli, _ := newCLI(t, func(_ int, c call, _ http.Header) (int, any) {
		query = c.path
		return 200, object{"integrations": []object{listed("down", failing()), listed("idle", healthy()), listed("off", stopped)}}
	})
	code, stdout, stderr := cli.run(nil, "integrations", "list")
	want := `ID    TYPE       STATE    BEHIND  SINCE                     TARGET
down  permanent  failing  26      2026-03-01T12:00:00.000Z  https://a.example.com
idle  permanent  healthy  0       -                         https://a.example.com
off   permanent  stopped  1       2026-03-01T13:00:00.000Z  https://a.example.com
`
	if diff := cmp.Diff(want, stdout); code != exitOK || diff != "" || query != "/api/v1/org/integrations/eventstream?include=health" {
		t.Errorf("exit code %d, %q, %s%s", code, query, diff, stderr)
	}
	if code, stdout, _ = cli.run(nil, "integrations", "list", "--json"); code != exitOK || !strings.Contains(stdout, `"event_name": "order.created"`) {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

func TestGetShowsHealthInWords(t *testing.T) {
	bucket := failing()
	bucket["failing"].(object)["event_id"], bucket["failing"].(object)["event_name"], bucket["failing"].(object)["attempts"] = nil, nil, 1
	stopped, catching := healthy(), healthy()
	stopped["state"], stopped["reason"], stopped["restart_by"] = "stopped", "stopped_after_failing", one1
	catching["state"], catching["progress"] = "catching_up", object{"fraction": 0.254, "read": 10, "filtered": 4, "delivered": 3, "rejected": 2, "skipped": 1}
	for name, c := range map[string]struct {
		health object
		want   []string
	}{
		"healthy": {healthy(), []string{"id                 a\ntype               permanent\nstatus             running\ncallback URL       https://a.example.com\nstate              healthy\n", "behind             nothing\n", "delivered through  " + noon, "last delivered at  " + noon}},
		"failing": {failing(), []string{
			"failing since " + noon + ", after 14 attempts\n", "waits for          event 01890a5d-ac96-774b-bcce-b302099a8057 (order.created): service unavailable (HTTP status code 503)\n",
			"next attempt       " + one1, one1 + " unless an attempt succeeds\n", "26 events (about 2.9 KiB), the first published at " + one1,
		}},
		"a bucket": {bucket, []string{"after 1 attempt\n", "a file: service"}},
		"stopped":  {stopped, []string{"stopped, as its receiver failed for too long\n", "restart by         " + one1 + " to lose nothing\n"}},
		"a replay": {catching, []string{"catching up\n", "progress           25 %: 10 read, 4 filtered out, 3 delivered, 2 rejected, 1 skipped\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			cli, _ := newCLI(t, func(_ int, got call, _ http.Header) (int, any) {
				if strings.HasSuffix(got.path, "/a/health") {
					return 200, c.health
				}
				return 200, listed("a", nil)
			})
			code, stdout, stderr := cli.run(nil, "integrations", "get", "a")
			for _, want := range c.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("exit code %d: %s%s\nlacks %q", code, stdout, stderr, want)
				}
			}
		})
	}
}

// With --json it is what a list has: what the service says of it, unknown fields and all,
// and its health.
func TestGetShowsHealthAsJSON(t *testing.T) {
	const in, health = `{"id":"a/b","status":"running","new":[{}]`, `{"state":"failing","new":{}}`
	cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) {
		if strings.HasSuffix(c.path, "/health") {
			return 200, json.RawMessage(health)
		}
		return 200, json.RawMessage(in + " }")
	})
	code, stdout, stderr := cli.run(nil, "integrations", "get", "a/b", "--json")
	var got bytes.Buffer
	if err := json.Compact(&got, []byte(stdout)); code != exitOK || err != nil || got.String() != in+`,"health":`+health+"}" {
		t.Errorf("exit code %d, %v, %s%s", code, err, stdout, stderr)
	}
	const path = "/api/v1/org/integrations/eventstream/a%2Fb"
	if diff := cmp.Diff([]call{{"GET", path, ""}, {"GET", path + "/health", ""}}, *calls, cmp.AllowUnexported(call{})); diff != "" {
		t.Error(diff)
	}
}

// An integration that is deleted between the two calls is gone.
func TestGetOfWhatIsDeletedMeanwhile(t *testing.T) {
	cli, _ := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		if n == 2 {
			return 404, problemBody("not_found", "It is gone.")
		}
		return 200, listed("a", nil)
	})
	if code, stdout, stderr := cli.run(nil, "integrations", "get", "a", "--json"); code != exitNotFound || stdout != "" || !strings.Contains(stderr, "It is gone.") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// Watching goes on while the service is away, and ends with Ctrl-C, which is no failure.
func TestWatchDrawsAgain(t *testing.T) {
	var cli *cli
	cli, calls := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		switch n {
		case 2:
			return 503, problemBody("unavailable", "Try again.")
		case 4:
			cli.cancel()
		}
		return 200, object{"integrations": []object{listed("down", failing())}}
	})
	code, stdout, stderr := cli.run(nil, "integrations", "watch")
	if code != exitOK || len(*calls) != 4 || strings.Count(stdout, "down  permanent  failing") != 2 || !strings.Contains(stderr, "unavailable: Try again.") {
		t.Errorf("exit code %d, %d calls\n%s%s", code, len(*calls), stdout, stderr)
	}
	if diff := cmp.Diff([]time.Duration{time.Second, time.Second, time.Second}, cli.slept); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("it redraws what is no terminal")
	}
}

func TestWatchOne(t *testing.T) {
	var cli *cli
	cli, _ = newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		if n == 3 {
			return 404, problemBody("not_found", "It is gone.")
		}
		return 200, failing()
	})
	code, stdout, stderr := cli.run(nil, "integrations", "watch", "a", "--json")
	if code != exitNotFound || strings.Count(stdout, `"state":"failing"`) != 2 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "It is gone.") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, _, _ := cli.run(nil, "integrations", "watch", "a", "b"); code != exitUsage {
		t.Errorf("two ids: exit code %d", code)
	}
}
