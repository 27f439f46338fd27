package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// An integration that is stopped for longer than the retention does not get what was
// published before its restart, and the story says so: before a start and after it.
func TestStoryOfAStopThatIsTooLong(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SLUICE_RETENTION": "2s"}
	for k, v := range fast {
		env[k] = v
	}
	n := newNode(t, plain, env, "--dev")
	c := newClient(n, "acme")
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	c.register(t, "shop", receiver.URL)
	c.call(t, "POST", eventstream+"/shop/_stop", "{}")
	var published struct{ Events []struct{ ID string } }
	if err := json.Unmarshal(c.call(t, "POST", "/api/v1/org/events", `{"name":"order.created","payload":{}}`).body, &published); err != nil {
		t.Fatal(err)
	}
	id := published.Events[0].ID
	verdict := func() string {
		var told struct{ Integrations []struct{ Verdict string } }
		a := c.call(t, "GET", "/api/v1/org/events/"+id, "")
		if err := json.Unmarshal(a.body, &told); err != nil || a.status != 200 || len(told.Integrations) != 1 {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
		return told.Integrations[0].Verdict
	}
	if v := verdict(); v != "stopped" && v != "expired" {
		t.Errorf("just stopped: %s", v)
	}
	until(t, "the stop is longer than the retention", func() bool { return verdict() == "expired" })
	c.call(t, "POST", eventstream+"/shop/_start", "{}")
	if v := verdict(); v != "expired" {
		t.Errorf("started again: %s", v)
	}
}
