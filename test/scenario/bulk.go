package scenario

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bulk is the answer to a retry or a deletion of several rejected events.
type bulk struct {
	Delivered []string
	Deleted   []string
	Failed    []struct{ ID, Cause string }
	Remaining int
}

func rejectedInBulk(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.status(http.StatusBadRequest)
	c.register("shop", callback(r.URL))
	ids := c.publish("order.created", 6)
	env.eventually(t, label("all are rejected"), func() bool { return len(c.rejected("shop")) == 6 })
	c.stop("shop") // the service may repeat a call whose outcome it could not save in time, and list the event again
	pagesOfRejected(c, ids)
	ask := func(verb string, body object) (b bulk) {
		t.Helper()
		c.call("POST", path("shop", "/rejected_events/", verb), body).ok(200, &b)
		return b
	}
	const unknown = "00000000-0000-4000-8000-000000000000"
	r.answers(func(a *arrival) int {
		if a.ID == ids[1] {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	got := ask("_retry", object{"event_ids": []string{ids[0], ids[1], unknown}})
	if diff := cmp.Diff([]string{ids[0]}, got.Delivered); diff != "" || len(got.Failed) != 2 || got.Failed[0].ID != ids[1] || got.Failed[0].Cause == "" ||
		got.Failed[1].ID != unknown || got.Failed[1].Cause != "not_found" || got.Remaining != 0 {
		t.Errorf("retried three: %+v", got)
	}
	if got = ask("_delete", object{"event_ids": []string{ids[2], unknown}}); !slices.Equal(got.Deleted, ids[2:3]) || len(got.Failed) != 1 || len(got.Delivered) != 0 {
		t.Errorf("deleted two: %+v", got)
	}
	got = ask("_retry", object{"all": true})
	if wantSame(t, ids[3:], got.Delivered); len(got.Failed) != 1 || got.Failed[0].ID != ids[1] {
		t.Errorf("retried all: %+v", got)
	}
	if got = ask("_delete", object{"all": true}); !slices.Equal(got.Deleted, ids[1:2]) || len(c.rejected("shop")) != 0 {
		t.Errorf("deleted all: %+v, and left %v", got, c.rejected("shop"))
	}
	deletions := c.reasons("shop", "rejected_event_deleted") // newest first
	if len(deletions) != 2 || !strings.Contains(deletions[0], ids[1]) || !strings.Contains(deletions[1], ids[2]) {
		t.Errorf("the log says of deletions %q, want %s and before it %s", deletions, ids[1], ids[2])
	}
	for _, verb := range []string{"_retry", "_delete"} {
		c.call("POST", path("shop", "/rejected_events/", verb), object{}).fails(http.StatusBadRequest, "invalid_request", "event_ids")
		c.call("POST", path("other", "/rejected_events/", verb), object{"all": true}).fails(http.StatusNotFound, "not_found", "other")
	}
}

// pagesOfRejected reads the list of rejected events in pages, which have each event once.
func pagesOfRejected(c *tenant, ids []string) {
	c.t.Helper()
	var got []string
	for query := "?limit=4"; query != ""; {
		var page struct {
			Rejected []rejectedEvent `json:"rejected_events"`
			Next     *string
		}
		c.call("GET", path("shop", "/rejected_events", query), nil).ok(200, &page)
		for _, e := range page.Rejected {
			got = append(got, e.ID)
		}
		if query = ""; page.Next != nil {
			query = "?limit=4&after=" + *page.Next
		}
		if len(page.Rejected) > 4 || len(got) > len(ids) {
			c.t.Fatalf("a page of %d, and %d in all of %d", len(page.Rejected), len(got), len(ids))
		}
	}
	if len(got) != len(ids) {
		c.t.Errorf("the pages have %d events of %d", len(got), len(ids))
	}
	wantSame(c.t, ids, got)
	for _, bad := range []string{"limit=0", "limit=201", "after=eA"} {
		name, _, _ := strings.Cut(bad, "=")
		c.call("GET", path("shop", "/rejected_events?", bad), nil).fails(http.StatusBadRequest, "invalid_request", name)
	}
}
