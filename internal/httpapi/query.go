package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/problem"
)

// parameters lists the query parameters that an operation takes. One that is not here
// takes none.
var parameters = map[string][]string{
	"GET " + base:                     {"include"},
	"GET " + one + "/deliveries":      {"event_id", "event_name", "outcome", "from", "to", "limit", "after"},
	"GET " + one + "/events":          {"position", "limit", "wait"},
	"GET " + one + "/logs":            {"action", "limit", "after"},
	"GET " + one + "/rejected_events": {"limit", "after"},
	"GET " + troubles:                 {"limit", "after"},
	"GET " + onePublished:             {"published_at", "from", "to"},
}

// checkQuery refuses query parameters that the operation does not take, or takes once: a
// misspelt one must not be ignored.
func checkQuery(rt route, r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.New(problem.InvalidRequest, "The query of the URL cannot be read; encode its parameters as in ?limit=50&after=….")
	}
	known := parameters[rt.method+" "+rt.path]
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) {
			return unknownParameter(name, known)
		}
		if len(given[name]) > 1 {
			return problem.New(problem.InvalidRequest, "The query parameter %s is given %d times; give it once.", name, len(given[name]))
		}
	}
	return nil
}

func unknownParameter(name string, known []string) error {
	takes := "this call takes none"
	if len(known) > 0 {
		takes = "this call takes " + strings.Join(known, ", ")
	}
	return problem.New(problem.UnknownParameter, "The query parameter %q is not known; %s.", clip(name), takes)
}

// number returns a parameter between least and most, or missing if it is not given. A
// unit may follow it.
func number(values url.Values, name, unit string, least, most, missing int) (int, error) {
	if !values.Has(name) {
		return missing, nil
	}
	text := values.Get(name)
	n, err := strconv.Atoi(strings.TrimSuffix(text, unit))
	if err != nil || n < least || n > most || text[0] == '+' {
		return 0, problem.New(problem.InvalidRequest, "%s is %q; it must be a whole number from %d to %d.", name, clip(text), least, most)
	}
	return n, nil
}
