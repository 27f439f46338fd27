package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func entryOf(n int) object {
	return object{"action": "retry_triggered", "reason": fmt.Sprint("entry ", n), "created_at": fmt.Sprintf("2026-03-01T12:%02d:%02d.000Z", n/60, n%60)}
}

// logOf serves pages of entries, the newest first, as the API does.
func logOf(c call, entries []object) object {
	u, _ := url.Parse(c.path)
	from, limit := 0, 50
	_, _ = fmt.Sscan(u.Query().Get("after"), &from)
	_, _ = fmt.Sscan(u.Query().Get("limit"), &limit)
	to := min(from+limit, len(entries))
	page := object{"entries": append([]object{}, entries[from:to]...)}
	if u.RawQuery != "" {
		page["next"] = nil
		if to < len(entries) {
			page["next"] = fmt.Sprint(to)
		}
	}
	return page
}

// newestFirst are the entries from one number down to another.
func newestFirst(from, to int) (entries []object) {
	for n := from; n >= to; n-- {
		entries = append(entries, entryOf(n))
	}
	return entries
}

func TestLogsPageByPage(t *testing.T) {
	for args, want := range map[string]struct {
		calls []string
		lines int
	}{
		"":                       {[]string{"?limit=50"}, 50},
		"--limit 3":              {[]string{"?limit=3"}, 3},
		"--limit 450":            {[]string{"?limit=200", "?after=200&limit=200", "?after=400&limit=50"}, 450},
		"--limit 9999":           {[]string{"?limit=200", "?after=200&limit=200", "?after=400&limit=200"}, 500},
		"--action a.b --limit 1": {[]string{"?action=a.b&limit=1"}, 1},
		"--action a":             {[]string{"?action=a&limit=50"}, 50},
	} {
		t.Run(args, func(t *testing.T) {
			cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return 200, logOf(c, newestFirst(500, 1)) })
			code, stdout, stderr := cli.run(nil, append([]string{"integrations", "logs", "a"}, strings.Fields(args)...)...)
			var got []string
			for _, c := range *calls {
				got = append(got, strings.TrimPrefix(c.path, "/api/v1/org/integrations/eventstream/a/logs"))
			}
			if diff := cmp.Diff(want.calls, got); code != exitOK || diff != "" || strings.Count(stdout, "\n") != want.lines+1 {
				t.Errorf("exit code %d, %d lines, calls (-want +got):\n%s%s", code, strings.Count(stdout, "\n"), diff, stderr)
			}
		})
	}
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { return 200, object{} })
	if code, _, _ := cli.run(nil, "integrations", "logs", "a", "--limit", "0"); code != exitUsage {
		t.Errorf("--limit 0: exit code %d", code)
	}
}

// Each entry is printed once, the oldest first, also one that comes later than newer ones,
// and more than a page of them.
func TestLogsFollow(t *testing.T) {
	late := object{"action": "event_rejected", "reason": "late", "created_at": "2026-03-01T12:00:02.500Z"}
	var cli *cli
	cli, _ = newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		switch {
		case n == 1:
			return 200, logOf(c, newestFirst(3, 1))
		case n == 2:
			return 503, problemBody("unavailable", "Try again.")
		case n == 3:
			return 200, logOf(c, append(append(newestFirst(4, 3), late), newestFirst(2, 1)...))
		case strings.Contains(c.path, "after=400"):
			cli.cancel()
		}
		return 200, logOf(c, newestFirst(450, 1))
	})
	code, stdout, stderr := cli.run(nil, "integrations", "logs", "a", "--follow")
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	want := []string{"entry 1", "entry 2", "entry 3", "late", "entry 4"}
	if len(lines) < 5 || code != exitOK || !strings.Contains(stderr, "Try again.") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for i, w := range want {
		if !strings.HasSuffix(lines[i], w) {
			t.Errorf("line %d is %q, want %q", i, lines[i], w)
		}
	}
}

func TestLogsFollowAsJSON(t *testing.T) {
	var cli *cli
	cli, _ = newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		if n == 4 {
			return 404, problemBody("not_found", "It is gone.")
		}
		return 200, logOf(c, newestFirst(100*n, 1))
	})
	code, stdout, _ := cli.run(nil, "integrations", "logs", "a", "-f", "--json", "--limit", "2")
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if code != exitNotFound || len(lines) != 2+200 || lines[0] != `{"action":"retry_triggered","reason":"entry 99","created_at":"2026-03-01T12:01:39.000Z"}` ||
		!strings.Contains(lines[201], "entry 300") {
		t.Errorf("exit code %d, %d lines:\n%s", code, len(lines), stdout)
	}
}
