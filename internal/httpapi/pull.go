package httpapi

import (
	"bytes"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/pull"
)

// The headers of a pull. The last two are there only if they say something.
const (
	headerNext  = "Sluice-Next"
	headerAtEnd = "Sluice-At-End"
	headerLost  = "Sluice-Lost"
)

const defaultPull = 100 // events

func (a *api) pull(x *exchange, r *http.Request) error {
	values := r.URL.Query()
	q := pull.Query{Position: values.Get("position"), Grow: x.memory.Grow}
	if values.Has("position") && q.Position == "" { // a script that has lost it must not begin again
		return problem.New(problem.InvalidPosition, "position is empty; send the next of the last response, or none to begin with the earliest event.")
	}
	var err error
	if q.Limit, err = number(values, "limit", "", 1, pull.MaxEvents, defaultPull); err != nil {
		return err
	}
	wait, err := number(values, "wait", "s", 0, int(pull.MaxWait/time.Second), 0)
	if err != nil {
		return err
	}
	q.Wait = time.Duration(wait) * time.Second
	page, err := a.Events.Pull(r.Context(), x.tenant, r.PathValue("integration_id"), q)
	if err != nil {
		return err
	}
	a.sendPage(x, page, wantsLines(r))
	return nil
}

// sendPage responds with the events, a line each or as one object.
func (a *api) sendPage(x *exchange, page *pull.Page, lines bool) {
	h := x.Header()
	h.Set(headerNext, page.Next)
	h.Set("Vary", "Accept")
	if page.AtEnd {
		h.Set(headerAtEnd, "true")
	}
	if page.Lost > 0 {
		h.Set(headerLost, strconv.Itoa(page.Lost))
	}
	if lines {
		a.send(x, http.StatusOK, mediaNDJSON, page.Lines)
		return
	}
	// A body has no newline in it, so the lines are a list but for what is between them.
	list := bytes.TrimSuffix(page.Lines, []byte("\n"))
	for i := range list {
		if list[i] == '\n' {
			list[i] = ','
		}
	}
	rest, err := json.Marshal(struct {
		Next  string `json:"next"`
		AtEnd bool   `json:"at_end"`
	}{page.Next, page.AtEnd})
	if err != nil {
		panic(err) // our own types always encode; end recovers
	}
	a.send(x, http.StatusOK, mediaJSON, []byte(`{"events":[`), list, []byte(`],`), rest[1:])
}

// wantsLines reports whether the caller accepts NDJSON, and prefers it to JSON if it
// names both: the first counts.
func wantsLines(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		switch media, _, _ := mime.ParseMediaType(part); media {
		case mediaNDJSON:
			return true
		case mediaJSON, "application/*", "*/*":
			return false
		}
	}
	return false
}
