package httpapi_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestNoBodyBreaksTheContract throws bodies that are like the schema's, and
// nearly so, at every call. check, within do, looks for a 5xx, a response the
// document does not allow, and a request it does not allow that was taken.
func TestNoBodyBreaksTheContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := setup()
		for _, body := range []string{webhook, bucket} {
			w.do(t, post(base, body))
			if rapid.Bool().Draw(t, "stopped") {
				w.do(t, post(base+"/"+idOf(body)+"/_stop", ""))
			}
		}
		for range rapid.IntRange(2, 8).Draw(t, "calls") {
			before := w.state(t, "acme")
			c := drawCall(t)
			rec := w.do(t, c)
			if rec.Code >= 500 {
				t.Fatalf("%+v: %d %s", c, rec.Code, rec.Body)
			}
			if after := w.state(t, "acme"); rec.Code >= 400 && after != before {
				t.Fatalf("%+v was refused with %d, and changed %s to %s", c, rec.Code, before, after)
			}
		}
	})
}

func idOf(body string) string { return strings.Split(body, `"`)[3] }

// drawCall draws a call with a usual body in half of the cases, and any other
// in the rest.
func drawCall(t *rapid.T) call {
	switch rapid.IntRange(0, 5).Draw(t, "kind of call") {
	case 0:
		return post(base, damaged(t, drawIntegration(t, "")))
	case 1:
		id := rapid.SampledFrom([]string{"hook", "bucket"}).Draw(t, "id")
		return patch(base+"/"+id, damaged(t, drawIntegration(t, id)))
	case 2:
		return post(events, damaged(t, drawPublish(t)))
	}
	id := rapid.SampledFrom([]string{"hook", "bucket", "replay", "other", "a%2Fb", "%00"}).Draw(t, "id")
	event := rapid.SampledFrom([]string{uuidA, "7"}).Draw(t, "event id")
	path := rapid.SampledFrom([]string{
		base, base + "/", base + "/" + id, base + "/" + id, base + "/" + id + "/_start", base + "/" + id + "/_stop",
		base + "/" + id + "/_skip", base + "/" + id + "/deliveries", base + "/" + id + "/logs", base + "/" + id + "/rejected_events", base + "/" + id + "/rejected_events/" + event,
		base + "/" + id + "/rejected_events/" + event + "/_retry",
		base + "/" + id + "/rejected_events/_retry", base + "/" + id + "/rejected_events/_delete", events, events, "/healthz", "/nowhere",
	}).Draw(t, "path")
	c := call{path: path}
	usual := map[string]string{base: "POST", base + "/" + id: "PATCH", events: "POST"}[path]
	c.method = rapid.SampledFrom([]string{usual, usual, usual, "GET", "POST", "PATCH", "DELETE", "PUT", "HEAD"}).Draw(t, "method")
	if c.method == "" {
		c.method = "POST"
	}
	c.media = rapid.SampledFrom([]string{jsonMedia, jsonMedia, jsonMedia, "application/merge-patch+json", "application/x-ndjson", "text/plain", ""}).Draw(t, "media type")
	if path == events {
		c.body = damaged(t, drawPublish(t))
		return c
	}
	c.body = damaged(t, drawIntegration(t, ""))
	return c
}

// damaged encodes a body, at times not quite right.
func damaged(t *rapid.T, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if !oneIn(6, t, "damage") {
		return string(text)
	}
	switch rapid.IntRange(0, 2).Draw(t, "kind of damage") {
	case 0:
		return string(text[:rapid.IntRange(0, len(text)).Draw(t, "length")])
	case 1:
		at := rapid.IntRange(0, len(text)-1).Draw(t, "place")
		text[at] = rapid.Byte().Draw(t, "byte")
	case 2:
		text = append(text, text...)
	}
	return string(text)
}

// object draws some of the fields, and at times one that is not known.
func object(t *rapid.T, fields map[string]*rapid.Generator[any], usual ...string) map[string]any {
	out := make(map[string]any)
	for _, name := range usual {
		if !oneIn(30, t, "leave out "+name) {
			out[name] = fields[name].Draw(t, name)
		}
	}
	if oneIn(4, t, "another field") {
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(fields))).Draw(t, "name")
		out[name] = fields[name].Draw(t, name)
	}
	if oneIn(20, t, "odd field") {
		out[rapid.SampledFrom([]string{"end_at", "", "ID", "a/b", "0"}).Draw(t, "odd name")] = odd().Draw(t, "odd value")
	}
	return out
}

// oneIn is true once in n times.
func oneIn(n int, t *rapid.T, what string) bool {
	return rapid.SampledFrom(append(make([]bool, n-1), true)).Draw(t, what)
}

func odd() *rapid.Generator[any] {
	return rapid.SampledFrom([]any{nil, true, 7, 1e300, "", "x", "é\u2028\x00", []any{}, []any{nil}, []any{"x", 1}, map[string]any{}, map[string]any{"a": nil}, strings.Repeat("long", 2000)})
}

// mostly draws the usual value, at times one of the others, or something odd.
func mostly(usual any, others ...any) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch {
		case oneIn(30, t, "odd"):
			return odd().Draw(t, "value")
		case len(others) > 0 && oneIn(5, t, "other"):
			return rapid.SampledFrom(others).Draw(t, "value")
		}
		return usual
	})
}

// drawIntegration draws the body of a registration, or of an update of the
// integration with the given id.
func drawIntegration(t *rapid.T, update string) any {
	if oneIn(30, t, "no object") {
		return odd().Draw(t, "body")
	}
	callback := rapid.Custom(func(t *rapid.T) any {
		return object(t, map[string]*rapid.Generator[any]{
			"callback_url":   mostly("https://a.example.com", "HTTP://A.example.com:8080/x?y=z#f", "http://[::1]/", "ftp://a", "http://", "http://u:p@a", "http://localhost", "//a", "http:///x", "https:a"),
			"api_key":        mostly("key", apiKey, "********c0de", nil, "a b", " x"),
			"signing_secret": mostly(whsec, "********FRYX", nil, "whsec_", "whsec_AA=="),
		}, "callback_url")
	})
	s3 := rapid.Custom(func(t *rapid.T) any {
		return object(t, map[string]*rapid.Generator[any]{
			"aws_access_key_id":     mostly("EXAMPLEKEYID", "a/b", nil),
			"aws_secret_access_key": mostly("clear-secret-access-key", "********-key", nil),
			"aws_region":            mostly("eu-central-1", "EU", nil),
			"bucket":                mostly("my-events", "B", "1.2.3.4", nil),
			"key_prefix":            mostly("a", "/a/", "/", "..", nil),
			"endpoint":              mostly("https://s3.example.com", "s3", nil),
		}, "aws_access_key_id", "aws_secret_access_key", "aws_region", "bucket")
	})
	filter := rapid.Custom(func(t *rapid.T) any {
		return object(t, map[string]*rapid.Generator[any]{
			"event_filter":  mostly([]any{"order.created"}, []any{"a.b", "a.b"}, []any{"a.b", nil}, []any{"order"}, []any{}, nil),
			"entity_filter": mostly([]any{"order"}, []any{nil}, []any{"a.b"}, []any{}, nil, manyNames),
		}, rapid.SampledFrom([]string{"event_filter", "entity_filter"}).Draw(t, "filter"))
	})
	length, usual := "permanent", []string{"id", "integration_type"}
	if oneIn(3, t, "replay") {
		length, usual = "temporary", append(usual, "starts_at", "ends_at")
	}
	target := rapid.SampledFrom([]string{"callback_parameters", "s3_parameters"}).Draw(t, "target")
	if update != "" {
		usual = nil
		target = map[string]string{"hook": "callback_parameters", "bucket": "s3_parameters"}[update]
	}
	return object(t, map[string]*rapid.Generator[any]{
		"id":                  mostly("new", "replay", "hook", "bucket", "A", "a b", strings.Repeat("x", 50), strings.Repeat("x", 51)),
		"status":              mostly("stopped", "running", nil),
		"integration_type":    mostly(length, "permanent", "temporary"),
		"starts_at":           mostly("2026-02-01T00:00:00Z", "2026-02-01T00:00:00.123456789+23:59", "2027-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00+10:00", "1969-12-31T23:59:59Z", "2026-02-01", "2026-02-01T00:00:00,5Z", "2026-02-01t00:00:00z"),
		"ends_at":             mostly("2026-03-02T00:00:00Z", "9999-12-31T23:59:59-10:00", "2026-01-01T00:00:00Z", nil),
		"callback_parameters": callback,
		"s3_parameters":       s3,
		"filter_conditions":   filter,
	}, append(usual, target)...)
}

var manyNames = slices.Repeat([]any{"order"}, 101)

func drawPublish(t *rapid.T) any {
	one := rapid.Custom(func(t *rapid.T) any {
		return object(t, map[string]*rapid.Generator[any]{
			"id":           mostly(uuidA, uuidB, strings.ToUpper(uuidA), "urn:uuid:"+uuidA, "{"+uuidA+"}", strings.ReplaceAll(uuidA, "-", ""), nil),
			"name":         mostly("order.created", "a.b.c", "order", "Order.created", "a..b", strings.Repeat("a", 100)+"."+strings.Repeat("b", 28)),
			"payload":      mostly(map[string]any{}, map[string]any{"a": []any{1, nil, 1e300}}, map[string]any{"": " \n"}),
			"published_at": mostly("2026-02-01T00:00:00Z"),
			"tenant":       mostly("acme"),
			"events":       mostly([]any{}),
		}, "name", "payload")
	})
	switch rapid.IntRange(0, 9).Draw(t, "form") {
	case 0:
		return odd().Draw(t, "body")
	case 1, 2, 3:
		return one.Draw(t, "event")
	}
	body := map[string]any{"events": rapid.SliceOfN(one, 0, 4).Draw(t, "events")}
	if oneIn(15, t, "more") {
		body["tenant"] = "acme"
	}
	return body
}
