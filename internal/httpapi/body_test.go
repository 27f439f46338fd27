package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/sluicehq/sluice/internal/problem"
)

// send makes a call with a body to each route that reads one, with headers added,
// and hands the responses to check.
func send(t *testing.T, body string, headers http.Header, check func(route string, status int, answer http.Header, body string)) {
	t.Helper()
	w := setup()
	w.want(t, 200, post(base, strings.Replace(webhook, `"hook"`, `"stopped"`, 1)))
	w.want(t, 200, post(base+"/stopped/_stop", ""))
	for _, c := range []call{post(base, body), patch(base+"/stopped", body), post(events, body), {method: "POST", path: events, media: "application/x-ndjson", body: body}} {
		r := c.request()
		for name, values := range headers {
			r.Header[name] = append(r.Header[name], values...)
		}
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		c.body = strings.TrimPrefix(c.body, "\uFEFF") // JSON may have one; the contract's parser does not know
		contract.check(t, c, rec)
		check(c.method+" "+c.path+" "+c.media, rec.Code, rec.Header(), rec.Body.String())
	}
}

func compressed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	if err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

func inUTF16(order binary.ByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], unit)
	}
	return string(b)
}

// The error of a body that is not plain UTF-8 says so, and not that it is invalid JSON.
func TestBodyInAnotherEncodingIsA415(t *testing.T) {
	const document = `{"id":"a"}`
	encoding := func(values ...string) http.Header { return http.Header{"Content-Encoding": values} }
	for _, c := range []struct {
		name, body string
		headers    http.Header
		message    string
		accept     string // Accept-Encoding of the response
	}{
		{"gzip", compressed(t, document), encoding("gzip"), `The Content-Encoding "gzip" is not supported; send the body uncompressed`, "identity"},
		{"gzip in upper case", compressed(t, document), encoding("GZIP"), `"GZIP"`, "identity"},
		{"said to be gzip, and is not", document, encoding("gzip"), "Content-Encoding", "identity"},
		{"empty and said to be gzip", "", encoding("gzip"), "Content-Encoding", "identity"},
		{"two codings", document, encoding("identity, br"), `"identity, br"`, "identity"},
		{"two headers", document, encoding("identity", "zstd"), `"identity,zstd"`, "identity"},
		{"aws-chunked", document, encoding("aws-chunked"), "Content-Encoding", "identity"},
		{"gzip without the header", compressed(t, document), nil, "compressed with gzip; send it uncompressed", ""},
		{"two content types", document, http.Header{"Content-Type": {"text/plain"}}, "Content-Type", ""},
		{"UTF-16 LE", inUTF16(binary.LittleEndian, document), nil, "send it in UTF-8", ""},
		{"UTF-16 BE", inUTF16(binary.BigEndian, document), nil, "send it in UTF-8", ""},
		{"UTF-16 LE with a mark", inUTF16(binary.LittleEndian, "\uFEFF"+document), nil, "send it in UTF-8", ""},
		{"UTF-16 BE with a mark", inUTF16(binary.BigEndian, "\uFEFF"+document), nil, "send it in UTF-8", ""},
	} {
		send(t, c.body, c.headers, func(route string, status int, answer http.Header, body string) {
			var e struct {
				Code    problem.Code `json:"error_code"`
				Message string
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil {
				t.Fatal(err)
			}
			if status != 415 || e.Code != problem.UnsupportedMediaType || !strings.Contains(e.Message, c.message) {
				t.Errorf("%s, %s: %d %s, want 415 with %q", c.name, route, status, body, c.message)
			}
			if got := answer.Get("Accept-Encoding"); got != c.accept {
				t.Errorf("%s, %s: Accept-Encoding %q, want %q", c.name, route, got, c.accept)
			}
		})
	}
}

// Headers and byte order marks that do not change the body are accepted.
func TestBodyAsItIsIsTaken(t *testing.T) {
	const event = `{"name":"order.created","payload":{}}`
	for _, c := range []struct {
		name, before string
		headers      http.Header
	}{
		{"identity", "", http.Header{"Content-Encoding": {"Identity"}}},
		{"identity twice", "", http.Header{"Content-Encoding": {"identity, ", "identity"}}},
		{"empty header", "", http.Header{"Content-Encoding": {""}}},
		{"byte order mark", "\uFEFF", nil},
	} {
		for _, body := range []string{c.before + event, c.before + webhook, c.before + `{"filter_conditions":{"event_filter":["a.b"]}}`} {
			taken := 0
			send(t, body, c.headers, func(route string, status int, _ http.Header, answer string) {
				if status < 300 {
					taken++
				} else if status == 415 || strings.Contains(answer, string(problem.InvalidJSON)) {
					t.Errorf("%s, %s: %d %s", c.name, route, status, answer)
				}
			})
			if taken == 0 {
				t.Errorf("%s: no route took %s", c.name, body)
			}
		}
	}
}
