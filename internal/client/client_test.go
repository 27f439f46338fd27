package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for try, most := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 5: 8 * time.Second, 60: 8 * time.Second} {
		if got := delayAfter(try, 0); got != most {
			t.Errorf("delayAfter(%d, 0) = %s, want %s", try, got, most)
		}
		if got := delayAfter(try, 1); got != most/2 {
			t.Errorf("delayAfter(%d, 1) = %s, want %s", try, got, most/2)
		}
	}
}

// A Retry-After of a minute is sat out, a longer one is not.
func TestUploadDoesNotWaitForever(t *testing.T) {
	for after, waits := range map[string]bool{"60": true, "61": false, "3600": false} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		var slept time.Duration
		over := errors.New("waited")
		u := Upload{Client: c, Sleep: func(_ context.Context, d time.Duration) error { slept = d; return over }}
		err := u.Run(t.Context(), NewReader(strings.NewReader("{}"), 1))
		if errors.Is(err, over) != waits || waits != (slept == time.Minute) {
			t.Errorf("Retry-After %s: waited %s, then %v; want a wait: %v", after, slept, err, waits)
		}
		if e, ok := errors.AsType[*Error](err); !waits && (!ok || fmt.Sprint(e.RetryAfter.Seconds()) != after) {
			t.Errorf("Retry-After %s: got %v", after, err)
		}
	}
}

// The token must not follow a redirect.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := New(server.URL+"/", "secret", false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Integrations(t.Context())
	if err == nil || !strings.Contains(err.Error(), elsewhere.URL) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestResponseOfSomethingElse(t *testing.T) {
	for _, body := range []string{"<html>", `{"id":7}`, `[]`, `{}`, "null", ""} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		if _, err := c.Integration(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "check the URL") {
			t.Errorf("%s: got %v", body, err)
		}
	}
}
