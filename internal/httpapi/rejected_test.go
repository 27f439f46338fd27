package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// Each event of the list is in one page, though others leave the list and join it between
// two pages. Without the parameters the answer is as it always was.
func TestRejectedEventsHavePages(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	var ids []string // newest first
	for i := range 7 {
		id := fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i)
		w.reject(t, "acme", "hook", id)
		ids = slices.Insert(ids, 0, id)
		if i%2 == 1 { // two at a time
			w.now = w.now.Add(time.Second)
		}
	}
	list := base + "/hook/rejected_events"
	type answer struct {
		Events []struct{ ID string } `json:"rejected_events"`
		Next   *string               `json:"next"`
	}
	read := func(query string) (got []string, next string) {
		t.Helper()
		body := w.want(t, 200, get(list+query))
		var a answer
		var fields map[string]any
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		if _, has := fields["next"]; has != (query != "") {
			t.Errorf("%q: a next: %t", query, has)
		}
		for _, e := range a.Events {
			got = append(got, e.ID)
		}
		if a.Next != nil {
			next = *a.Next
		}
		return got, next
	}
	if got, _ := read(""); !slices.Equal(got, ids) {
		t.Errorf("the list is %v", got)
	}
	first, next := read("?limit=3")
	if !slices.Equal(first, ids[:3]) || next == "" {
		t.Errorf("the first page is %v, next %q", first, next)
	}
	w.want(t, 200, remove(list+"/"+ids[0]))
	w.now = w.now.Add(time.Minute)
	w.reject(t, "acme", "hook", uuidA)
	second, last := read("?limit=3&after=" + url.QueryEscape(next))
	if !slices.Equal(second, ids[3:6]) || last == "" {
		t.Errorf("the second page is %v, next %q", second, last)
	}
	w.want(t, 200, remove(list+"/"+ids[5])) // which the second page ended with
	if third, end := read("?after=" + url.QueryEscape(last)); !slices.Equal(third, ids[6:]) || end != "" {
		t.Errorf("the third page is %v, next %q", third, end)
	}
	if got, end := read("?limit=200"); len(got) != 6 || end != "" {
		t.Errorf("the whole list is %v, next %q", got, end)
	}
	for query, message := range map[string]string{
		"?limit=0": `limit is "0"`, "?limit=%2B5": `limit is "+5"`, "?limit=201": `limit is "201"`, "?limit=x": `limit is "x"`,
		"?after=%21": "after is not the next", "?after=eA": "after is not the next",
	} {
		w.wantError(t, 400, problem.InvalidRequest, message, get(list+query))
	}
	w.wantError(t, 400, problem.UnknownParameter, "limits", get(list+"?limits=3"))
}
