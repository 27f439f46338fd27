package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/listener"
)

var urlPattern = regexp.MustCompile(`Listening on (http://\S+);`)

// startListen runs the command in the background and returns the receiver's
// URL, and a function that stops it and returns what it printed.
func startListen(t *testing.T, args ...string) (url string, stop func() (code int, out, errOut string)) {
	t.Helper()
	var out bytes.Buffer
	errReader, errWriter := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	codes := make(chan int, 1)
	go func() {
		codes <- run(ctx, append([]string{"listen", "--port", "0"}, args...), &env{
			out: &out, err: errWriter, getenv: func(string) string { return "" }, now: time.Now,
		})
		_ = errWriter.Close()
	}()
	lines := bufio.NewReader(errReader)
	first, err := lines.ReadString('\n')
	m := urlPattern.FindStringSubmatch(first)
	if m == nil {
		t.Fatalf("does not say where it listens: %q, %v", first, err)
	}
	rest := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(lines)
		rest <- string(b)
	}()
	return m[1], func() (int, string, string) {
		cancel()
		return <-codes, out.String(), <-rest
	}
}

func post(t *testing.T, url, id, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("webhook-id", id)
	req.Header.Set("sluice-attempt", "2")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestListen(t *testing.T) {
	url, stop := startListen(t, "--status", "503,200", "--reject", "order.bad_event")
	var got []int
	for _, name := range []string{"order.created", "order.bad_event", "order.created"} {
		got = append(got, post(t, url, "e1", fmt.Sprintf(`{"name":%q}`, name)))
	}
	if want := []int{503, 400, 200}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("returned %v, want %v", got, want)
	}
	code, stdout, stderr := stop()
	want := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3}  503  /  order\.created  e1  attempt 2\n.*  400  /  order\.bad_event  e1  attempt 2\n.*  200  /  order\.created  e1  attempt 2\n$`)
	if code != exitOK || !want.MatchString(stdout) {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	if want := "3 calls received; responses: 1 with 200, 1 with 400, 1 with 503; 3 were repeated attempts.\n"; !strings.HasSuffix(stderr, want) {
		t.Errorf("stderr %q, want at its end %q", stderr, want)
	}
}

func TestListenJSON(t *testing.T) {
	url, stop := startListen(t, "--json")
	post(t, url, "e1", "{\"name\":\n\"a.b\"}")
	post(t, url, "e2", "no JSON")
	code, stdout, stderr := stop()
	if want := "{\"name\":\"a.b\"}\n"; code != exitOK || stdout != want || !strings.Contains(stderr, "is not JSON") {
		t.Errorf("exit code %d, stdout %q, want %q; stderr %q", code, stdout, want, stderr)
	}
}

func TestListenPrintsSignatures(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, stop := startListen(t, "--signing-secret", "@"+secret)
	post(t, url, "e1", `{"name":"a.b\u001b[2J"}`)
	code, stdout, stderr := stop()
	if code != exitOK || !strings.HasSuffix(stdout, "  signature "+string(listener.Missing)+"\n") || strings.Contains(stdout, "\x1b") {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	if want := "1 had no valid signature.\n"; !strings.HasSuffix(stderr, want) {
		t.Errorf("stderr %q, want at its end %q", stderr, want)
	}
}

// The command to register with has the secret as it was given, never itself.
func TestListenSaysHowToRegister(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"@" + file: "@" + file, secret: "whsec_…"} {
		url, stop := startListen(t, "--signing-secret", given)
		post(t, url, "e1", `{"name":"a.b"}`)
		_, _, stderr := stop()
		if !strings.Contains(stderr, "--callback-url "+url+" --signing-secret "+want+"\n") || strings.Contains(stderr, secret) {
			t.Errorf("%q does not end the command with %q", stderr, want)
		}
		if want := "\n1 call received; responses: 1 with 200; 1 was a repeated attempt."; !strings.Contains(stderr, want) {
			t.Errorf("%q does not say %q", stderr, want)
		}
	}
}

func TestListenPortTaken(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cli := &cli{t: t}
	code, _, stderr := cli.run(nil, "listen", "--port", port)
	if code != exitFailure || !strings.Contains(stderr, "choose another port with --port") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
