package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

func TestBadInput(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(webhook, old, new, 1) }
	replay := func(more string) string {
		return `{"id":"replay","integration_type":"temporary",` + more + `"callback_parameters":{"callback_url":"http://a.example.com"}}`
	}
	deep := strings.Repeat("[", 100_000)
	const invalid, json, unknown = problem.InvalidRequest, problem.InvalidJSON, problem.UnknownField
	tests := []struct {
		name    string
		call    call
		status  int
		code    problem.Code
		message string
	}{
		{"empty body", post(base, ""), 400, json, "The body is empty"},
		{"malformed", post(base, "{\n \"id\": hook}"), 400, json, "id is not valid JSON: invalid character 'h' at start of value (line 2, column 8)"},
		{"cut off", post(base, webhook[:38]), 400, json, "integration_type is not valid JSON: it ends too early"},
		{"two documents", post(base, webhook+webhook), 400, json, "after top-level value"},
		{"not an object", post(base, "[]"), 400, invalid, "must be a JSON object"},
		{"wrong type", post(base, change(`"hook"`, `7`)), 400, invalid, "id must be a string, not a number (line 1, column 7)"},
		{"a list for an object", post(base, `{"id":"a","callback_parameters":["x"]}`), 400, invalid, "callback_parameters must be an object, not a list"},
		{"unknown field", post(base, change(`"id"`, `"end_at":1,"id"`)), 400, unknown, "end_at is not a known field; check its spelling (line 1, column 2)"},
		{"unknown field within", post(base, change(`"callback_url"`, `"url"`)), 400, unknown, "callback_parameters.url"},
		{"unknown field, null", post(base, change(`"id"`, `"end_at":null,"id"`)), 400, unknown, "end_at"},
		{"field twice", post(base, change(`"id"`, `"id":"a","id"`)), 400, json, "id is given twice (line 1, column"},
		{"invalid UTF-8", post(base, change(`hook"`, "\xc3\x28\"")), 400, json, "id is not valid JSON: invalid UTF-8 (line 1, column"},
		{"huge nesting", post(base, deep[:60_000]), 400, json, "nested deeper than 256 levels (line 1, column 257)"},
		{"huge nesting within", patch(base+"/hook", `{"callback_parameters":{"callback_url":`+deep[:50_000]), 400, json, "callback_parameters.callback_url[0]"},
		{"huge nesting of an event", post(events, `{"name":"a.b","payload":{"a":`+deep), 400, json, "payload.a"},
		{"too large", post(base, webhook+strings.Repeat(" ", 64<<10)), 413, problem.PayloadTooLarge, "65536 bytes"},
		{"too large a patch", patch(base+"/hook", "{"+strings.Repeat(" ", 64<<10)+"}"), 413, problem.PayloadTooLarge, "65536 bytes"},
		{"id too long", post(base, change(`"hook"`, `"`+strings.Repeat("a", 51)+`"`)), 400, invalid, "id"},
		{"id in upper case", post(base, change(`"hook"`, `"Hook"`)), 400, invalid, "id"},
		{"id missing", post(base, change(`"id":"hook",`, ``)), 400, invalid, "id"},
		{"id null", post(base, change(`"hook"`, `null`)), 400, invalid, "id"},
		{"type unknown", post(base, change("permanent", "forever")), 400, invalid, "integration_type"},
		{"type missing", post(base, change(`"integration_type":"permanent",`, ``)), 400, invalid, "integration_type"},
		{"status", post(base, change(`"id"`, `"status":"stopped","id"`)), 400, invalid, "status cannot be set"},
		{"time without an offset", post(base, change(`"id"`, `"starts_at":"2026-01-01T00:00:00","id"`)), 400, invalid, `starts_at is "2026-01-01T00:00:00"; it must be an RFC 3339 time`},
		{"time with a comma", post(base, change(`"id"`, `"starts_at":"2026-01-01T00:00:00,5Z","id"`)), 400, invalid, "starts_at"},
		{"time with a space at its end", post(base, change(`"id"`, `"starts_at":"2026-01-01T00:00:00Z ","id"`)), 400, invalid, "starts_at ends with a space; remove it."},
		{"time with an invisible character", post(base, replay(`"starts_at":"2026-01-01T00:00:00Z","ends_at":"2026-02-01T00:00:00Z\u200e",`)), 400, invalid, "ends_at has an invisible character (U+200E) at position 21; remove it."},
		{"time with a blank for its T", post(base, change(`"id"`, `"starts_at":"2026-01-01 00:00:00Z","id"`)), 400, invalid, "starts_at"},
		{"NUL in JSON", post(base, change(`"hook"`, `"ho\u0000ok"`)), 400, invalid, "id has a control character (U+0000) at position 3; remove it."},
		{"lone surrogate", post(base, change(`"hook"`, `"ho\ud800ok"`)), 400, json, "id is not valid JSON: invalid"},
		{"lone low surrogate", post(base, change(`"hook"`, `"ho\udc00ok"`)), 400, json, "id is not valid JSON: invalid"},
		{"surrogate of an event's name", post(events, `{"name":"a.b\ud800","payload":{}}`), 400, json, "name is not valid JSON: invalid"},
		{"surrogate in a payload", post(events, `{"name":"a.b","payload":{"k":"\ud800"}}`), 400, json, "payload.k is not valid JSON: invalid"},
		{"invisible character in a URL", post(base, change(`/hooks`, `/ho\u200boks`)), 400, invalid, "callback_parameters.callback_url has an invisible character (U+200B) at position 27; remove it."},
		{"invisible character in a secret", post(base, change(apiKey, apiKey+`\u200b`)), 400, invalid, "callback_parameters.api_key has an invisible character (U+200B) at position 19; remove it."},
		{"key with its scheme", post(base, change(apiKey, "Bearer "+apiKey)), 400, invalid, "callback_parameters.api_key begins with \"Bearer\""},
		{"letter outside ASCII in a secret", post(base, change(apiKey, apiKey+`é`)), 400, invalid, "callback_parameters.api_key has a character outside ASCII at position 19"},
		{"invisible character in a filter", post(base, change(`order.created`, `order.\u2060created`)), 400, invalid, "filter_conditions.event_filter[0] has an invisible character (U+2060) at position 7; remove it."},
		{"space before an event's name", post(events, `{"events":[{"name":"a.b","payload":{}},{"name":" a.b","payload":{}}]}`), 400, invalid, "events[1].name begins with a space; remove it."},
		{"invisible character in an event's name", post(events, `{"name":"a.\ufeffb","payload":{}}`), 400, invalid, "name has an invisible character (U+FEFF) at position 3; remove it."},
		{"space after an event's id", post(events, `{"id":"`+uuidA+` ","name":"a.b","payload":{}}`), 400, invalid, "id ends with a space; remove it."},
		{"invisible character in an id of a path", get(base + "/ho%E2%80%8Bok"), 404, problem.NotFound, "the id has an invisible character (U+200B) at position 3; remove it."},
		{"space in an id of a path", get(base + "/hook%20"), 404, problem.NotFound, "the id ends with a space; remove it."},
		{"invisible character in an event id of a path", get(base + "/hook/rejected_events/" + uuidA + "%E2%80%8B"), 404, problem.NotFound, "the id has an invisible character (U+200B) at position 37; remove it."},
		{"day alone", post(base, replay(`"starts_at":"2026-01-01T00:00:00Z","ends_at":"2026-02-01",`)), 400, invalid, `ends_at is "2026-02-01"`},
		{"time a number", post(base, change(`"id"`, `"starts_at":1767225600,"id"`)), 400, invalid, "starts_at must be a string, not a number"},
		{"the zero time", post(base, change(`"id"`, `"starts_at":"0001-01-01T00:00:00Z","id"`)), 400, invalid, "starts_at"},
		{"before the year 0", post(base, change(`"id"`, `"starts_at":"0000-01-01T00:00:00+23:00","id"`)), 400, invalid, "starts_at"},
		{"after the year 9999", post(base, replay(`"starts_at":"2026-01-01T00:00:00Z","ends_at":"9999-12-31T23:59:59-23:00",`)), 400, invalid, "ends_at"},
		{"in the future", post(base, change(`"id"`, `"starts_at":"2026-03-01T12:00:00.001Z","id"`)), 400, invalid, "starts_at"},
		{"replay without a start", post(base, replay(`"ends_at":"2026-02-01T00:00:00Z",`)), 400, invalid, "starts_at"},
		{"end before start", post(base, replay(`"starts_at":"2026-02-01T00:00:00Z","ends_at":"2026-02-01T00:00:00.0001Z",`)), 400, invalid, "ends_at"},
		{"both targets", post(base, change(`"id"`, bucket[strings.Index(bucket, `"s3`):len(bucket)-1]+`,"id"`)), 400, invalid, "callback_parameters and s3_parameters"},
		{"no target", post(base, `{"id":"a","integration_type":"permanent","callback_parameters":null}`), 400, invalid, "callback_parameters and s3_parameters"},
		{"URL of another scheme", post(base, change("https:", "ftp:")), 400, invalid, "callback_parameters.callback_url"},
		{"URL too long", post(base, change("/hooks", "/"+strings.Repeat("a", 2048))), 400, invalid, "callback_parameters.callback_url"},
		{"signing secret", post(base, change("whsec_", "whsec-")), 400, invalid, "callback_parameters.signing_secret"},
		{"empty signing secret", post(base, change(whsec, "")), 400, invalid, "callback_parameters.signing_secret is empty"},
		{"empty filter", post(base, change(`["order.created"]`, `[]`)), 400, invalid, "filter_conditions.event_filter is empty"},
		{"filter of null", post(base, change(`["order.created"]`, `[null]`)), 400, invalid, "filter_conditions.event_filter[0] must be a string, not null"},
		{"filter name", post(base, change(`order.created`, `order`)), 400, invalid, `filter_conditions.event_filter[0] is "order"`},
		{"event malformed", post(events, `{"events":[{"name":"a.b","payload":{}},{"name":}]}`), 400, json, "events[1].name is not valid JSON: invalid character '}' at start of value (line 1, column"},
		{"event twice a key", post(events, `{"name":"a.b","payload":{"k":1,"k":2}}`), 400, json, "payload.k is given twice"},
		{"event field", post(events, `{"name":"a.b","payload":{},"published_at":"2026-01-01T00:00:00Z"}`), 400, invalid, "published_at is set by the service"},
		{"form", call{method: "POST", path: base, media: "application/x-www-form-urlencoded", body: webhook}, 415, problem.UnsupportedMediaType, "send application/json"},
		{"other charset", call{method: "POST", path: base, media: "application/json; charset=latin1", body: webhook}, 415, problem.UnsupportedMediaType, "UTF-8"},
		{"no media type", call{method: "POST", path: base, media: "json;;", body: webhook}, 415, problem.UnsupportedMediaType, "json;;"},
		{"merge patch at registration", call{method: "POST", path: base, media: "application/merge-patch+json", body: webhook}, 415, problem.UnsupportedMediaType, ""},
		{"NDJSON patch", call{method: "PATCH", path: base + "/hook", media: "application/x-ndjson", body: "{}"}, 415, problem.UnsupportedMediaType, "application/merge-patch+json"},
		{"text to publish", call{method: "POST", path: events, media: "text/plain", body: "{}"}, 415, problem.UnsupportedMediaType, "application/x-ndjson"},
		{"method", call{method: "PUT", path: base + "/hook", media: jsonMedia, body: webhook}, 405, problem.MethodNotAllowed, "Method PUT is not allowed here; use DELETE, GET, HEAD, OPTIONS, PATCH."},
		{"method of publish", get(events), 405, problem.MethodNotAllowed, "OPTIONS, POST"},
		{"odd method", call{method: "PROPFIND", path: "/healthz"}, 405, problem.MethodNotAllowed, "PROPFIND"},
		{"CONNECT", call{method: "CONNECT", path: base}, 405, problem.MethodNotAllowed, "CONNECT"},
		{"path", get("/api/v1/org/integrations"), 404, problem.NotFound, "/openapi.yaml"},
		{"slash at the end", get(base + "/hook/"), 404, problem.NotFound, "does not exist; /openapi.yaml lists all paths."},
		{"path to clean", get("/api//v1/org/events"), 404, problem.NotFound, "does not exist; /openapi.yaml lists all paths."},
		{"dots in the path", get(base + "/../eventstream"), 404, problem.NotFound, "does not exist; /openapi.yaml lists all paths."},
		{"encoded dots", get(base + "/%2e%2e/logs"), 404, problem.NotFound, ""},
		{"encoded slash", get(base + "/a%2Fb"), 404, problem.NotFound, "a/b"},
		{"long id", get(base + "/" + strings.Repeat("a", 5000)), 404, problem.NotFound, ""},
		{"NUL in an id", get(base + "/a%00b"), 404, problem.NotFound, ""},
		{"invalid UTF-8 in an id", get(base + "/%ff"), 404, problem.NotFound, ""},
	}
	w := setup()
	before := w.state(t, "acme")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.wantError(t, tt.status, tt.code, tt.message, tt.call)
			if after := w.state(t, "acme"); after != before {
				t.Errorf("changed to %s", after)
			}
		})
	}
	for _, clear := range []string{apiKey, whsec} {
		if strings.Contains(w.lines.String(), clear) {
			t.Errorf("%s is in the log", clear)
		}
	}
}

func TestPatchRefusesUnseenText(t *testing.T) {
	w := setup()
	w.do(t, post(base, webhook))
	w.do(t, post(base+"/hook/_stop", ""))
	before := w.state(t, "acme")
	w.wantError(t, 400, problem.InvalidRequest, "callback_parameters.callback_url has an invisible character (U+200B) at position 25; remove it.",
		patch(base+"/hook", `{"callback_parameters":{"callback_url":"https://erp.example.com/\u200b"}}`))
	w.wantError(t, 400, problem.InvalidRequest, "callback_parameters.api_key ends with a space; remove it.",
		patch(base+"/hook", `{"callback_parameters":{"api_key":"another-key "}}`))
	if after := w.state(t, "acme"); after != before {
		t.Errorf("changed to %s", after)
	}
}

// RFC 3339 takes its letters small, and a leap second.
func TestTimesThatRFC3339Allows(t *testing.T) {
	for given, want := range map[string]string{
		"2026-01-01t00:00:00z":      "2026-01-01T00:00:00.000Z",
		"2026-01-01T02:00:00+02:00": "2026-01-01T00:00:00.000Z",
		"2016-12-31T23:59:60Z":      "2017-01-01T00:00:00.000Z",
	} {
		w := setup()
		rec := w.do(t, post(base, strings.Replace(webhook, `"id"`, `"starts_at":"`+given+`","id"`, 1)))
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"starts_at":"`+want+`"`) {
			t.Errorf("%s: %d %s, want %s", given, rec.Code, rec.Body, want)
		}
	}
}

func TestAccess(t *testing.T) {
	w := setup()
	tests := []struct {
		token     string
		call      call
		status    int
		challenge string
	}{
		{"none", get(base), 401, `Bearer realm="sluice"`},
		{"nonsense", get(base), 401, `Bearer realm="sluice", error="invalid_token"`},
		{"later", get(base), 503, ""},
		{"acme:integrations/read", get(base), 200, ""},
		{"acme:integrations/write", get(base), 200, ""},
		{"acme:integrations/read", post(base, webhook), 403, `Bearer realm="sluice", error="insufficient_scope", scope="integrations:write"`},
		{"acme:integrations/read,events/publish", remove(base + "/hook"), 403, `Bearer realm="sluice", error="insufficient_scope", scope="integrations:write"`},
		{"acme:events/publish", get(base + "/hook/logs"), 403, `Bearer realm="sluice", error="insufficient_scope", scope="integrations:read"`},
		{"acme:integrations/write", post(events, `{"name":"a.b","payload":{}}`), 403, `Bearer realm="sluice", error="insufficient_scope", scope="events:publish"`},
		{"acme:events/publish", post(events, `{"name":"a.b","payload":{}}`), 202, ""},
		{"none", get("/healthz"), 200, ""},
		{"none", get("/readyz"), 200, ""},
		{"none", get("/metrics"), 200, ""},
		{"none", get("/openapi.yaml"), 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.call.method+" "+tt.call.path+" "+tt.token, func(t *testing.T) {
			rec := w.do(t, tt.call.as(tt.token))
			if got := rec.Header().Get("WWW-Authenticate"); rec.Code != tt.status || got != tt.challenge {
				t.Errorf("status %d, challenge %q; want %d, %q", rec.Code, got, tt.status, tt.challenge)
			}
		})
	}
}

// A body may be exactly as large as the limit, with a Content-Length and without.
func TestLimitsOfBodiesAreInclusive(t *testing.T) {
	const documents, calls = 64 << 10, 5 << 20
	event := `{"name":"order.created","payload":{}}`
	for _, c := range []struct {
		name   string
		call   call
		status int
	}{
		{"a document as large as can be", post(base, webhook+strings.Repeat(" ", documents-len(webhook))), 200},
		{"a document a byte larger", post(base, webhook+strings.Repeat(" ", documents-len(webhook)+1)), 413},
		{"a publish as large as can be", post(events, event+strings.Repeat(" ", calls-len(event))), 202},
		{"a publish a byte larger", post(events, event+strings.Repeat(" ", calls-len(event)+1)), 413},
	} {
		for _, told := range []bool{true, false} {
			w := setup()
			r := c.call.request()
			if !told {
				r.ContentLength = -1
			}
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, r)
			if rec.Code != c.status {
				t.Errorf("%s, with Content-Length: %v: status %d, want %d: %s", c.name, told, rec.Code, c.status, rec.Body)
			}
		}
	}
}
