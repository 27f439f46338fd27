package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// retry --all sends each event of the list once, the oldest first, a hundred at a time, and
// goes on where the time of a call was over.
func TestRetryOfAll(t *testing.T) {
	listed := numbered(430)
	slices.Reverse(listed) // newest first
	var sent []string
	handler := func(_ int, c call, _ http.Header) (int, any) {
		if c.method == http.MethodGet {
			return http.StatusOK, rejectedOf(c, listed)
		}
		var body struct {
			IDs []string `json:"event_ids"`
		}
		if err := json.Unmarshal([]byte(c.body), &body); err != nil || len(body.IDs) > 100 {
			t.Errorf("%d ids, %v", len(body.IDs), err)
		}
		reached := min(len(body.IDs), 60)
		sent = append(sent, body.IDs[:reached]...)
		out := object{"delivered": body.IDs[:reached], "failed": []any{}, "remaining": len(body.IDs) - reached}
		if slices.Contains(body.IDs[:reached], "e7") {
			out["failed"], out["delivered"] = []any{object{"id": "e7", "cause": "gone"}}, slices.DeleteFunc(slices.Clone(body.IDs[:reached]), func(id string) bool { return id == "e7" })
		}
		return http.StatusOK, out
	}
	cli, _ := newCLI(t, handler)
	code, stdout, stderr := cli.run(nil, "rejected", "retry", "a", "--all")
	if code != exitFailure || !strings.Contains(stdout, "e7 failed: gone\nThe receiver of a accepted 429 of 430 rejected events.\n") || !strings.Contains(stderr, "1 rejected event of a could not be delivered;") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	for i, id := range sent {
		if id != fmt.Sprint("e", i) {
			t.Fatalf("sent %v", sent)
		}
	}
	if len(sent) != 430 {
		t.Errorf("%d were sent", len(sent))
	}
	listed, sent = nil, nil
	if code, stdout, _ = cli.run(nil, "rejected", "retry", "a", "--all", "--json"); code != exitOK || !strings.Contains(stdout, `"delivered": []`) {
		t.Errorf("an empty list: exit code %d, %q", code, stdout)
	}
	for _, args := range []string{"retry a", "retry a e --all", "delete a", "delete --all"} {
		if code, _, _ := cli.run(nil, append([]string{"rejected"}, strings.Fields(args)...)...); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", args, code, exitUsage)
		}
	}
}

// What earlier calls have delivered is told when a later one fails.
func TestRetryOfAllThatIsCutShort(t *testing.T) {
	cli, _ := newCLI(t, func(_ int, c call, _ http.Header) (int, any) {
		switch {
		case c.method == http.MethodGet:
			return http.StatusOK, object{"rejected_events": []any{object{"id": "f"}, object{"id": "e"}}}
		case strings.Contains(c.body, `"e"`):
			return http.StatusOK, object{"delivered": []any{"e"}, "failed": []any{}, "remaining": 1}
		}
		return http.StatusServiceUnavailable, object{"error_code": "unavailable", "message": "Later."}
	})
	code, stdout, stderr := cli.run(nil, "rejected", "retry", "a", "--all")
	if code != exitUnavailable || stdout != "The receiver of a accepted 1 of 1 rejected event.\n" || !strings.Contains(stderr, "Later.") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// delete --all goes on where the time of a call was over.
func TestDeletionOfALongList(t *testing.T) {
	cli, calls := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		return http.StatusOK, object{"delivered": []any{}, "deleted": []any{fmt.Sprint("e", n)}, "failed": []any{}, "remaining": 3 - n}
	})
	code, stdout, _ := cli.run(nil, "rejected", "delete", "a", "--all")
	if code != exitOK || stdout != "Deleted 3 rejected events of a.\n" || len(*calls) != 3 {
		t.Errorf("exit code %d, %q after %d calls", code, stdout, len(*calls))
	}
}

// What earlier calls have deleted is told when a later one fails.
func TestDeletionOfAllThatIsCutShort(t *testing.T) {
	cli, _ := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		if n == 1 {
			return http.StatusOK, object{"delivered": []any{}, "deleted": []any{"e"}, "failed": []any{}, "remaining": 1}
		}
		return http.StatusServiceUnavailable, object{"error_code": "unavailable", "message": "Later."}
	})
	code, stdout, stderr := cli.run(nil, "rejected", "delete", "a", "--all")
	if code != exitUnavailable || stdout != "Deleted 1 rejected event of a.\n" || !strings.Contains(stderr, "Later.") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestDeletionOfAll(t *testing.T) {
	cli, calls := newCLI(t, func(int, call, http.Header) (int, any) {
		return http.StatusOK, object{"delivered": []any{}, "deleted": []any{"e", "f"}, "failed": []any{}, "remaining": 0}
	})
	code, stdout, _ := cli.run(nil, "rejected", "delete", "a", "--all")
	if code != exitOK || stdout != "Deleted 2 rejected events of a.\n" || (*calls)[0].body != `{"all":true}` {
		t.Errorf("exit code %d, %q, %+v", code, stdout, *calls)
	}
}
