package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/problem"
)

// parameters lists the query parameters that an operation takes. One that is not here
// takes none.
var parameters = map[string][]string{
	"GET " + base:                     {"include"},
	"GET " + one + "/events":          {"position", "limit", "wait"},
	"GET " + one + "/logs":            {"action", "limit", "after"},
	"GET " + one + "/rejected_events": {"limit", "after"},
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
