package httpapi

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/sluicehq/sluice/internal/problem"
)

func TestAPageIsReadFromTheQuery(t *testing.T) {
	for query, want := range map[string]page{
		"":                      {limit: 50},
		"limit=1":               {limit: 1, given: true},
		"limit=200":             {limit: 200, given: true},
		"action=x":              {limit: 50, given: true},
		"after=YWI&limit=%32":   {limit: 2, after: "ab", given: true},
		"after=YWI&something=1": {limit: 50, after: "ab", given: true},
	} {
		if got, err := pageOf(httptest.NewRequest("GET", "/?"+query, nil), "action"); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v; want %+v", query, got, err, want)
		}
	}
	for _, query := range []string{"limit=0", "limit=201", "limit=-1", "limit=", "limit=x", "limit=1.5", "limit=99999999999999999999", "after=", "after=%20", "after=YWI=", "after=Y"} {
		if got, err := pageOf(httptest.NewRequest("GET", "/?"+query, nil)); problem.CodeOf(err) != problem.InvalidRequest {
			t.Errorf("%q is read as %+v, %v", query, got, err)
		}
	}
}

func TestNextLeadsToTheFollowingPage(t *testing.T) {
	type answer struct {
		Next **string `json:"next,omitzero"`
	}
	for want, next := range map[string]**string{
		`{}`:             page{}.next("x"),
		`{"next":null}`:  page{given: true}.next(""),
		`{"next":"_-4"}`: page{given: true}.next("\xff\xee"),
	} {
		if got, err := json.Marshal(answer{next}); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	end := **page{given: true}.next("17.\x00é")
	if got, err := pageOf(httptest.NewRequest("GET", "/?after="+url.QueryEscape(end), nil)); err != nil || got.after != "17.\x00é" {
		t.Errorf("it leads to %+v, %v", got, err)
	}
}

func TestAnUnknownQueryParameterIsRefused(t *testing.T) {
	parameters["GET /with"] = []string{"action", "limit"}
	defer delete(parameters, "GET /with")
	for query, want := range map[string]problem.Code{
		"":                 "",
		"limit=1&action=x": "",
		"limits=1":         problem.UnknownParameter,
		"Limit=1":          problem.UnknownParameter,
		"=":                problem.UnknownParameter,
		"limit=1&limit=1":  problem.InvalidRequest,
		"limit=%zz":        problem.InvalidRequest,
		"limit=1;action=x": problem.InvalidRequest,
	} {
		if err := checkQuery(route{method: "GET", path: "/with"}, httptest.NewRequest("GET", "/with?"+query, nil)); code(err) != want {
			t.Errorf("%q: %v, want %q", query, err, want)
		}
	}
	if err := checkQuery(route{method: "GET", path: "/without"}, httptest.NewRequest("GET", "/without?limit=1", nil)); code(err) != problem.UnknownParameter {
		t.Errorf("a call without parameters: %v", err)
	}
}

func code(err error) problem.Code {
	if err == nil {
		return ""
	}
	return problem.CodeOf(err)
}
