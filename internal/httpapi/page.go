package httpapi

import (
	"encoding/base64"
	"net/http"

	"github.com/sluicehq/sluice/internal/store"
)

// A list that can be long is read in pages: limit is how many entries a page has, and
// after is the next of the page before.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// page is the part of a list that a call asks for.
type page struct {
	limit int
	after string // where the page before ended, "" for the first one
	given bool   // the call has a parameter of its list, so the answer has a next
}

// pageOf reads limit and after. others are the list's own parameters, which ask for a
// page as well.
func pageOf(r *http.Request, others ...string) (page, error) {
	query := r.URL.Query()
	var p page
	for _, name := range append(others, "limit", "after") {
		p.given = p.given || query.Has(name)
	}
	var err error
	if p.limit, err = number(query, "limit", "", 1, maxLimit, defaultLimit); err != nil {
		return p, err
	}
	if query.Has("after") {
		after, err := base64.RawURLEncoding.DecodeString(query.Get("after"))
		if err != nil || len(after) == 0 {
			return p, store.ErrPlace
		}
		p.after = string(after)
	}
	return p, nil
}

// next returns the field next of an answer: end is where its page ended, "" at the end of
// the list. A call that asked for no page gets no such field.
func (p page) next(end string) **string {
	if !p.given {
		return nil
	}
	var token *string
	if end != "" {
		token = new(base64.RawURLEncoding.EncodeToString([]byte(end)))
	}
	return &token
}
