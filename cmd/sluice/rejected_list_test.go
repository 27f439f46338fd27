package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rejectedOf serves pages of a list of events, as the API does.
func rejectedOf(c call, ids []string) object {
	u, _ := url.Parse(c.path)
	from, limit := 0, 50
	_, _ = fmt.Sscan(u.Query().Get("after"), &from)
	_, _ = fmt.Sscan(u.Query().Get("limit"), &limit)
	to := min(from+limit, len(ids))
	events := []object{}
	for _, id := range ids[from:to] {
		events = append(events, object{"id": id, "created_at": noon, "event_name": "a.b", "reason": "rejected", "status_code": 400})
	}
	page := object{"rejected_events": events, "next": nil}
	if to < len(ids) {
		page["next"] = fmt.Sprint(to)
	}
	return page
}

// numbered are n ids, e0, e1 and so on.
func numbered(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint("e", i))
	}
	return ids
}

func TestRejectedEventsPageByPage(t *testing.T) {
	for args, want := range map[string]struct {
		calls []string
		lines int
	}{
		"":            {[]string{"?limit=200", "?after=200&limit=200", "?after=400&limit=200"}, 450},
		"--limit 0":   {[]string{"?limit=200", "?after=200&limit=200", "?after=400&limit=200"}, 450},
		"--limit 3":   {[]string{"?limit=3"}, 3},
		"--limit 201": {[]string{"?limit=200", "?after=200&limit=1"}, 201},
	} {
		t.Run(args, func(t *testing.T) {
			cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return 200, rejectedOf(c, numbered(450)) })
			code, stdout, stderr := cli.run(nil, append([]string{"rejected", "list", "a"}, strings.Fields(args)...)...)
			var got []string
			for _, c := range *calls {
				got = append(got, strings.TrimPrefix(c.path, "/api/v1/org/integrations/eventstream/a/rejected_events"))
			}
			if diff := cmp.Diff(want.calls, got); code != exitOK || diff != "" || strings.Count(stdout, "\n") != want.lines+1 {
				t.Errorf("exit code %d, %d lines, calls (-want +got):\n%s%s", code, strings.Count(stdout, "\n"), diff, stderr)
			}
			_, stdout, _ = cli.run(nil, append([]string{"rejected", "list", "a", "--json"}, strings.Fields(args)...)...)
			var list struct {
				Events []struct{ ID string } `json:"rejected_events"`
			}
			if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list.Events) != want.lines || list.Events[want.lines-1].ID != fmt.Sprint("e", want.lines-1) {
				t.Errorf("--json: %v, %d events", err, len(list.Events))
			}
		})
	}
	cli := &cli{t: t}
	if code, _, stderr := cli.run(nil, "rejected", "list", "a", "--limit", "-1"); code != exitUsage || !strings.Contains(stderr, "--limit is -1") {
		t.Errorf("--limit -1: exit code %d, %s", code, stderr)
	}
}

// A list that breaks off half way is no list.
func TestRejectedEventsThatBreakOff(t *testing.T) {
	cli, _ := newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		if n == 2 {
			return 503, problemBody("unavailable", "Later.")
		}
		return 200, rejectedOf(c, numbered(300))
	})
	if code, stdout, stderr := cli.run(nil, "rejected", "list", "a"); code != exitUnavailable || stdout != "" || !strings.Contains(stderr, "Later.") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}
