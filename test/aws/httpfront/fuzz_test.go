package httpfront_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluicehq/sluice/test/aws/httpfront"
)

// Whatever a client sends as its token, the function is not asked unless the
// issuer has signed it.
func FuzzToken(f *testing.F) {
	issuer, err := httpfront.NewIssuer("https://issuer.example", "sluice-api")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "Bearer", "Bearer ", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "{}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		fn := &function{result: answered}
		front := newFront(t, httpfront.Options{Invoker: fn, JWT: issuer.Authorizer(), Routes: []httpfront.Route{{Key: "$default"}}})
		r := httptest.NewRequest("GET", "/", http.NoBody)
		r.Header["Authorization"] = []string{header}
		if w := ask(front, r); w.Code != 401 || fn.calls != 0 {
			t.Errorf("%q: %d", header, w.Code)
		}
	})
}

// Whatever a function gives back becomes an answer.
func FuzzResult(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", answered, `{"statusCode":99}`, `{"statusCode":200,"headers":{"":"\n"}}`,
		`{"statusCode":204,"body":"x"}`, `{"statusCode":null}`, `{"statusCode":200,"body":1}`, `"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, result string) {
		w := ask(newFront(t, httpfront.Options{Invoker: &function{result: result}, Routes: open}), httptest.NewRequest("GET", "/", http.NoBody))
		if !json.Valid([]byte(result)) && w.Code != 500 {
			t.Errorf("%q: %d", result, w.Code)
		}
	})
}
