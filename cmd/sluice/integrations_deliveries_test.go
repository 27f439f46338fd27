package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func delivered(id any) object {
	return object{
		"event_id": id, "event_name": "a.b", "published_at": noon, "outcome": "delivered", "attempts": 2, "first_attempt_at": noon, "last_attempt_at": one1,
		"status_code": 204, "cause": nil, "took_ms": 41, "file": nil,
	}
}

func TestDeliveries(t *testing.T) {
	retried := object{
		"event_id": "e2", "event_name": "a.b", "published_at": noon, "outcome": "retrying", "attempts": 3, "first_attempt_at": noon, "last_attempt_at": nil,
		"status_code": nil, "cause": "no response", "took_ms": nil, "file": nil,
	}
	filed := delivered(nil)
	filed["event_name"], filed["published_at"], filed["file"] = nil, nil, "p/acme/1-data-x.export"
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) {
		return 200, object{"deliveries": []object{retried, delivered("e1"), filed}, "next": nil}
	})
	code, stdout, stderr := cli.run(nil, "integrations", "deliveries", "a")
	want := "LAST ATTEMPT              EVENT  NAME  OUTCOME    ATTEMPTS  STATUS  TOOK   CAUSE OR FILE\n" +
		"                          e2     a.b   retrying   3                        no response\n" +
		one1 + "  e1     a.b   delivered  2         204     41 ms  \n" +
		one1 + "               delivered  2         204     41 ms  p/acme/1-data-x.export\n"
	if diff := cmp.Diff(want, stdout); code != exitOK || diff != "" {
		t.Errorf("exit code %d, %s%s", code, diff, stderr)
	}
	code, stdout, stderr = cli.run(nil, "integrations", "deliveries", "a", "--limit", "3", "--json")
	if code != exitOK || !strings.Contains(stdout, `"last_attempt_at": null`) || !strings.Contains(stdout, `"took_ms": 41`) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

// A page with fewer deliveries than its limit, or none, is not the last.
func TestDeliveriesPageByPage(t *testing.T) {
	cli, calls := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		switch n {
		case 1:
			return 200, object{"deliveries": []object{delivered("e1")}, "next": "n1"}
		case 2:
			return 200, object{"deliveries": []object{}, "next": "n2"}
		}
		return 200, object{"deliveries": []object{delivered("e2")}, "next": nil}
	})
	code, stdout, stderr := cli.run(nil, "integrations", "deliveries", "a", "--limit", "3", "--event-id", "E", "--event-name", "a.b", "--outcome", "rejected", "--from", noon, "--to", one1)
	if code != exitOK || strings.Count(stdout, "\n") != 3 {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	var got []string
	for _, c := range *calls {
		u, _ := url.Parse(c.path)
		got = append(got, u.Query().Get("limit")+" "+u.Query().Get("after"))
		for name, value := range map[string]string{"event_id": "E", "event_name": "a.b", "outcome": "rejected", "from": noon, "to": one1} {
			if u.Query().Get(name) != value {
				t.Errorf("%s is %q, want %q", name, u.Query().Get(name), value)
			}
		}
	}
	if diff := cmp.Diff([]string{"3 ", "2 n1", "2 n2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeliveriesRefuse(t *testing.T) {
	for _, args := range []string{"--limit 0", "--limit -1", "--event-id=", "--event-name=", "--outcome=", "--from=", "--to="} {
		cli := &cli{t: t}
		name, _, _ := strings.Cut(strings.Fields(args)[0], "=")
		code, _, stderr := cli.run(nil, append([]string{"integrations", "deliveries", "a"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(stderr, name) {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { return 200, object{"deliveries": []object{}, "next": nil} })
	if code, stdout, _ := cli.run(nil, "integrations", "deliveries", "a"); code != exitOK || stdout != "a has no such deliveries.\n" {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
