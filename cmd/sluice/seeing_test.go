package main

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	two2   = "2026-03-01T14:00:00.000Z"
	three3 = "2026-03-01T15:00:00.000Z"
	four4  = "2026-03-01T16:00:00.000Z"
)

var gap = regexp.MustCompile(` {2,}`)

// columns are the lines of a table, with a bar between two columns.
func columns(table string) []string {
	return strings.Split(gap.ReplaceAllString(strings.TrimSuffix(table, "\n"), "|"), "\n")
}

// Each time is in its own row, and what does not apply has none.
func TestGetShowsWhatApplies(t *testing.T) {
	head := []string{"id|a", "type|permanent", "status|running", "callback URL|https://a.example.com"}
	down := failing()
	down["delivered_through"], down["last_delivered_at"] = two2, three3
	down["failing"].(object)["stops_at"] = four4
	probed := failing()
	probed["failing"].(object)["stops_at"], probed["last_delivered_at"] = nil, nil
	stopped := healthy()
	stopped["state"], stopped["reason"], stopped["restart_by"] = "stopped", "stopped_by_api", four4
	event := "waits for|event 01890a5d-ac96-774b-bcce-b302099a8057 (order.created): service unavailable (HTTP status code 503)"
	behind := "behind|26 events (about 2.9 KiB), the first published at " + one1
	for name, c := range map[string]struct {
		health object
		want   []string
	}{
		"failing": {down, []string{
			"state|failing since " + noon + ", after 14 attempts", event, "next attempt|" + one1, "stops at|" + four4 + " unless an attempt succeeds",
			behind, "delivered through|" + two2, "last delivered at|" + three3,
		}},
		"never stopped": {probed, []string{"state|failing since " + noon + ", after 14 attempts", event, "next attempt|" + one1, behind, "delivered through|" + noon}},
		"stopped":       {stopped, []string{"state|stopped via the API", "behind|nothing", "delivered through|" + noon, "last delivered at|" + noon, "restart by|" + four4 + " to lose nothing"}},
		"healthy":       {healthy(), []string{"state|healthy", "behind|nothing", "delivered through|" + noon, "last delivered at|" + noon}},
	} {
		cli, _ := newCLI(t, func(_ int, got call, _ http.Header) (int, any) {
			if strings.HasSuffix(got.path, "/health") {
				return 200, c.health
			}
			return 200, listed("a", nil)
		})
		code, stdout, stderr := cli.run(nil, "integrations", "get", "a")
		if diff := cmp.Diff(append(head[:4:4], c.want...), columns(stdout)); code != exitOK || diff != "" {
			t.Errorf("%s: exit code %d, %s%s", name, code, diff, stderr)
		}
	}
}

func TestSizeForPeople(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1<<20 - 1: "1024.0 KiB", 1 << 20: "1.0 MiB", 3 << 29: "1536.0 MiB"} {
		if got := size(bytes); got != want {
			t.Errorf("size(%d) is %s, want %s", bytes, got, want)
		}
	}
}

// A look begins with the time, in UTC, and ends with an empty line where it is not redrawn.
func TestWatchDrawsATable(t *testing.T) {
	cli, _ := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		if n == 3 {
			return 404, problemBody("not_found", "It is gone.")
		}
		return 200, healthy()
	})
	cli.now = func() time.Time { return time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600)) }
	code, stdout, _ := cli.run(nil, "integrations", "watch", "a")
	one := []string{"2026-03-01T12:00:00Z", "id|a", "state|healthy", "behind|nothing", "delivered through|" + noon, "last delivered at|" + noon, ""}
	if diff := cmp.Diff(append(one, one...), columns(stdout)); code != exitNotFound || diff != "" {
		t.Errorf("exit code %d, %s", code, diff)
	}
}

// A service that cannot be reached may come back.
func TestWatchGoesOnWithoutTheService(t *testing.T) {
	var cli *cli
	cli, calls := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
		defer cli.cancel()
		return 200, object{"integrations": []any{}}
	})
	code, _, stderr := cli.run(nil, "integrations", "watch")
	if code != exitOK || len(*calls) != 2 || !strings.HasPrefix(stderr, "sluice: cannot reach http://127.0.0.1:") {
		t.Errorf("exit code %d after %d calls, %q", code, len(*calls), stderr)
	}
}

// What follows ends when nobody reads what it prints, as behind a pipe that is closed.
func TestFollowingEndsWithItsReader(t *testing.T) {
	cli, _ := newCLI(t, func(n int, _ call, h http.Header) (int, any) {
		if n%10 == 9 {
			return 404, problemBody("not_found", "It went on.")
		}
		h.Set("Sluice-Next", "p")
		return 200, object{"id": "i", "state": "healthy", "integrations": []any{}, "entries": []any{object{"action": "a"}}}
	})
	for _, args := range []string{"watch", "watch a", "logs a -f", "events a -f"} {
		for _, asJSON := range []string{"", " --json"} {
			var stderr bytes.Buffer
			e := &env{
				out: failingWriter{}, err: &stderr, getenv: func(name string) string { return cli.vars[name] },
				sleep: sleepNot, now: time.Now,
			}
			code := run(t.Context(), append([]string{"integrations"}, strings.Fields(args+asJSON)...), e)
			want := "sluice: no room\n"
			if asJSON != "" {
				want = `{"error_code":"failed","message":"no room","exit_code":1}` + "\n"
			}
			if code != exitFailure || stderr.String() != want {
				t.Errorf("%s%s: exit code %d, %q", args, asJSON, code, stderr.String())
			}
		}
	}
}

// What follows shows text from elsewhere, and a terminal does not obey it.
func TestFollowedTextDoesNotReachTheTerminal(t *testing.T) {
	for _, args := range []string{"watch", "watch --json", "watch a", "watch a --json", "logs a -f", "logs a -f --json", "events a -f", "events a -f --json"} {
		cli, _ := newCLI(t, func(n int, _ call, h http.Header) (int, any) {
			h.Set("Sluice-Next", "p")
			switch n {
			case 1:
				return 503, object{"error_code": "unavailable", "message": hostile, "request_id": "r"}
			case 2:
				entry := object{"action": hostile, "reason": hostile, "created_at": hostile}
				return 200, object{"id": hostile, "name": hostile, "payload": hostile, "state": hostile, "integrations": []any{object{"id": hostile}}, "entries": []any{entry}}
			}
			return 404, object{"error_code": "not_found", "message": "It is gone.", "request_id": "r"}
		})
		code, stdout, stderr := cli.run(nil, append([]string{"integrations"}, strings.Fields(args)...)...)
		if code != exitNotFound || !strings.Contains(stdout, "gpj") || !strings.Contains(stderr, "gpj") {
			t.Errorf("%s: exit code %d, %q, %q", args, code, stdout, stderr)
		}
		wantTame(t, args, stdout+stderr)
	}
}
