package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
)

// A token sent over http to another host can be read by anyone on the way.
func TestTokenIsNotSentInClear(t *testing.T) {
	for url, refused := range map[string]bool{
		"http://127.0.0.1:8080":           false,
		"http://127.1.2.3":                false,
		"http://[::1]:8080":               false,
		"http://localhost:8080":           false,
		"https://sluice.example.com":      false,
		"http://sluice.example.com":       true,
		"HTTP://10.0.0.1:8080":            true,
		"http://0.0.0.0:8080":             true,
		"http://localhost.example.com":    true,
		"http://127.0.0.1.example.com":    true,
		"http://[2001:db8::1]:8080":       true,
		"http://[::ffff:192.0.2.1]/":      true,
		"http://sluice:8080/behind/proxy": true,
	} {
		_, err := New(url, "secret", false)
		if _, plain := errors.AsType[*PlainError](err); plain != refused || err != nil && !plain {
			t.Errorf("New(%q) = %v; refused must be %v", url, err, refused)
		}
		if _, err := New(url, "secret", true); err != nil {
			t.Errorf("New(%q, insecure) = %v", url, err)
		}
	}
}

// The environment is read once in a process, so the client runs in one of its own.
func TestLoopbackIsNotCalledThroughAProxy(t *testing.T) {
	if url := os.Getenv("CALL_WITHOUT_PROXY"); url != "" {
		c, err := New(url, "secret", false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Integrations(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"integrations":[]}`))
	}))
	defer api.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the proxy got %s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLoopbackIsNotCalledThroughAProxy$")
	cmd.Env = append(os.Environ(), "CALL_WITHOUT_PROXY="+api.URL, "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
