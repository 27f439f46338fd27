package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// accepted responds to a publish call as the API does, and adds its ids to all.
func accepted(t *testing.T, c call, all *[]string) (int, any) {
	t.Helper()
	var out []any
	for _, id := range idsOf(t, c) {
		*all = append(*all, id)
		out = append(out, object{"id": id})
	}
	return http.StatusAccepted, object{"events": out}
}

func idsOf(t *testing.T, c call) []string {
	t.Helper()
	if c.method != http.MethodPost || c.path != "/api/v1/org/events" {
		t.Errorf("%s %s is not a publish call", c.method, c.path)
	}
	var ids []string
	for line := range strings.Lines(c.body) {
		var e struct{ ID string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ID == "" {
			t.Errorf("%q is not an event with an id: %v", line, err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

// events returns n events, a line each, with the ids e1, e2, ….
func events(n int) (ndjson string, ids []string) {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		ids = append(ids, fmt.Sprint("e", i))
		fmt.Fprintf(&b, "{\"id\":\"e%d\",\"name\":\"order.created\",\"payload\":{}}\n", i)
	}
	return b.String(), ids
}

func TestPublish(t *testing.T) {
	var got []string
	cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return accepted(t, c, &got) })
	input, want := events(1203)
	code, stdout, stderr := cli.run(strings.NewReader(input), "publish")
	if code != exitOK || !strings.HasPrefix(stdout, "Published 1203 events in 3 calls (") || stderr != "" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(*calls) != 3 {
		t.Errorf("%d calls, want 3", len(*calls))
	}

	code, stdout, _ = cli.run(strings.NewReader(`[{"id":"x"},{"id":"y"}]`), "publish", "--json", "--file", "-")
	if want := "{\"id\":\"x\"}\n{\"id\":\"y\"}\n"; code != exitOK || stdout != want {
		t.Errorf("--json: exit code %d, %q, want %q", code, stdout, want)
	}
	code, stdout, _ = cli.run(strings.NewReader(`{"id":"x"}`), "publish")
	if want := "Published event x.\n"; code != exitOK || stdout != want {
		t.Errorf("one event: exit code %d, %q, want %q", code, stdout, want)
	}
}

// A call stays below the limits of the service in bytes, too.
func TestPublishSplitsByBytes(t *testing.T) {
	var got []string
	cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return accepted(t, c, &got) })
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "{\"id\":\"e%d\",\"payload\":{\"x\":\"%s\"}}\n", i, strings.Repeat("x", 200_000))
	}
	if code, _, stderr := cli.run(strings.NewReader(b.String()), "publish"); code != exitOK || len(got) != 40 {
		t.Fatalf("exit code %d, %d events; %s", code, len(got), stderr)
	}
	for _, c := range *calls {
		if len(c.body) > 5<<20 {
			t.Errorf("a call has %d bytes", len(c.body))
		}
	}
	if len(*calls) < 8 || len(*calls) > 10 {
		t.Errorf("%d calls for 8 MB", len(*calls))
	}
}

// A call that failed for a moment is tried again with the same ids, though
// the events had none.
func TestPublishRetriesWithTheSameIDs(t *testing.T) {
	var tries [][]string
	var got []string
	cli, _ := newCLI(t, func(n int, c call, h http.Header) (int, any) {
		tries = append(tries, idsOf(t, c))
		switch n {
		case 1:
			return http.StatusServiceUnavailable, problemBody("unavailable", "Try again.")
		case 2:
			h.Set("Retry-After", "7")
			return http.StatusTooManyRequests, problemBody("too_many_requests", "Slower.")
		}
		return accepted(t, c, &got)
	})
	code, _, stderr := cli.run(strings.NewReader("{\"name\":\"a.b\"}\n{\"name\":\"a.c\"}\n"), "publish")
	if code != exitOK || len(got) != 2 || got[0] == got[1] {
		t.Fatalf("exit code %d, ids %v; %s", code, got, stderr)
	}
	if !slices.Equal(tries[0], tries[1]) || !slices.Equal(tries[1], tries[2]) {
		t.Errorf("the tries had different ids: %v", tries)
	}
	if len(cli.slept) != 2 || cli.slept[0] > 500*time.Millisecond || cli.slept[0] < 250*time.Millisecond || cli.slept[1] != 7*time.Second {
		t.Errorf("waited for %v; want about 0.5 s, then the 7 s of Retry-After", cli.slept)
	}
	if !strings.Contains(stderr, "unavailable: Try again. (request_id req-1); retrying in") {
		t.Errorf("does not say why it waits: %q", stderr)
	}
}

var resumePattern = regexp.MustCompile(`(?m)^resume with: sluice publish --file (\S+) --from-line (\d+)$`)

// What a failed publish says leads to exactly the rest of the input.
func TestPublishResumes(t *testing.T) {
	input, want := events(1203)
	array := "[" + strings.ReplaceAll(strings.TrimSpace(input), "\n", ",") + "]"
	for name, content := range map[string]string{"lines": input, "array": array, "gaps": strings.ReplaceAll(input, "\n", "\n\n")} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "events.json")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			var got []string
			down := true
			cli, calls := newCLI(t, func(n int, c call, _ http.Header) (int, any) {
				if n > 2 && down {
					return http.StatusServiceUnavailable, problemBody("unavailable", "Full.")
				}
				return accepted(t, c, &got)
			})
			code, _, stderr := cli.run(nil, "publish", "--file", file)
			if code != exitUnavailable || len(*calls) != 2+6 || !strings.Contains(stderr, "Published 1000 events;") {
				t.Fatalf("exit code %d after %d calls: %s", code, len(*calls), stderr)
			}
			m := resumePattern.FindStringSubmatch(stderr)
			if m == nil {
				t.Fatalf("does not say how to resume: %s", stderr)
			}
			down = false
			if code, _, stderr := cli.run(nil, "publish", "--file", m[1], "--from-line", m[2]); code != exitOK {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPublishNamesTheRefusedLine(t *testing.T) {
	var got []string
	cli, _ := newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		if n == 2 {
			return http.StatusBadRequest, problemBody("invalid_request", "line 7: name is missing.")
		}
		return accepted(t, c, &got)
	})
	input, _ := events(600)
	code, _, stderr := cli.run(strings.NewReader("\n"+input), "publish")
	for _, want := range []string{
		"Published 500 events; stopped before line 502 of the input.\n",
		"The service refused line 508; correct it first.\n",
		"resume with the same input to: sluice publish --from-line 502\n",
		"sluice: invalid_request: line 508: name is missing. (request_id req-1)\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q does not say %q", stderr, want)
		}
	}
	if code != exitInvalid || len(cli.slept) != 0 {
		t.Errorf("exit code %d, slept %v; a refusal is not tried again", code, cli.slept)
	}
}

// An array counts events, and a column of the call's body means nothing.
func TestPublishNamesTheRefusedEventOfAnArray(t *testing.T) {
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) {
		return http.StatusBadRequest, problemBody("unknown_field", "line 2: nme is not a known field (line 2, column 9).")
	})
	code, _, stderr := cli.run(strings.NewReader(`[{"id":"a"},{"id":"b"},{"id":"c"}]`), "publish", "--from-line", "2")
	want := "Nothing was published.\nThe service refused event 3; correct it first.\nresume with the same input to: sluice publish --from-line 2\n" +
		"sluice: unknown_field: event 3: nme is not a known field. (request_id req-1)\n"
	if code != exitInvalid || stderr != want {
		t.Errorf("exit code %d, %q, want %q", code, stderr, want)
	}
}

// What fails before anything is published says so, and how to go on once it is mended.
func TestPublishFailsAtOnce(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	refusing, _ := newCLI(t, func(int, call, http.Header) (int, any) {
		return http.StatusUnauthorized, problemBody("unauthorized", "The token is not accepted.")
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "an event.json")
	if err := os.WriteFile(file, []byte(`{"name":"a.b"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "resume with the same input to: sluice publish"},
		{[]string{"--url", gone.URL}, "resume with the same input to: sluice publish --url " + gone.URL},
		{[]string{"--file", dir}, "resume with: sluice publish --file " + dir},
		{[]string{file, "--json=false"}, "resume with: sluice publish --file '" + file + "'"},
		{[]string{"--token", testToken, "--tenant", "a b", "--insecure"}, "resume with the same input to: sluice publish --insecure --tenant 'a b' --token …"},
	} {
		code, _, stderr := refusing.run(strings.NewReader(`{"name":"a.b"}`), append([]string{"publish"}, c.args...)...)
		if code == exitOK || !strings.HasPrefix(stderr, "Nothing was published.\n"+c.want+"\nsluice: ") || strings.Count(stderr, "\n") != 3 {
			t.Errorf("%q: exit code %d, %q; want %q", c.args, code, stderr, c.want)
		}
	}
}

// Whatever the service refuses a call for, the command says what became of the events, and how
// to go on. It does not say that nothing was published where it cannot know: a service that
// fails may have stored a part of a call.
func TestRefusedPublishSaysWhatBecameOfTheEvents(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		unsure bool
	}{
		{400, "invalid_json", false},
		{400, "tenant_required", false},
		{401, "unauthorized", false},
		{403, "forbidden", false},
		{404, "", false},
		{405, "method_not_allowed", false},
		{409, "idempotency_in_progress", true},
		{413, "payload_too_large", false},
		{415, "unsupported_media_type", false},
		{422, "idempotency_mismatch", false},
		{429, "too_many_requests", false},
		{500, "internal_error", true},
		{503, "unavailable", true},
		{504, "", true},
	} {
		cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { return c.status, problemBody(c.code, "No.") })
		_, _, stderr := cli.run(strings.NewReader(`{"name":"a.b"}`), "publish")
		lines := stderr[strings.LastIndex(stderr, "retrying in")+1:]
		if strings.Contains(lines, "Nothing was published.\n") == c.unsure || strings.Contains(lines, "may already have published the next events.") != c.unsure ||
			!strings.Contains(lines, "\nresume with the same input to: sluice publish\nsluice: ") {
			t.Errorf("%d %s: %q; unsure: %v", c.status, c.code, lines, c.unsure)
		}
		var got failure
		_, _, stderr = cli.run(strings.NewReader("\n"+`{"name":"a.b"}`), "publish", "--json")
		last := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
		if err := json.Unmarshal([]byte(last[len(last)-1]), &got); err != nil || got.Publish == nil ||
			*got.Publish != (leftOver{0, c.unsure, "sluice publish --from-line 2 --json"}) {
			t.Errorf("%d %s: %q, %v", c.status, c.code, last, err)
		}
	}
}

// Where files were joined that begin with a byte order mark, the mark is named: no editor
// shows it.
func TestPublishNamesAByteOrderMark(t *testing.T) {
	for input, want := range map[string]string{
		"\ufeff{\"id\":\"a\"}\n":                    "Nothing was published.\nCorrect line 1 first.\nresume with the same input to: sluice publish\nsluice: line 1 of the input begins with a byte order mark; save it as UTF-8 without one\n",
		"{\"id\":\"a\"}\n\n \ufeff{\"id\":\"b\"}\n": "sluice: line 3 begins with a byte order mark; save the input as UTF-8 without one, also where files were joined\n",
		"[{\"id\":\"a\"},\ufeff{\"id\":\"b\"}]":     "sluice: event 2 begins with a byte order mark; save the input",
	} {
		cli, _ := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return accepted(t, c, new([]string)) })
		if code, _, stderr := cli.run(strings.NewReader(input), "publish"); code != exitInvalid || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %q; want %q", input, code, stderr, want)
		}
	}
}

// What was published stays published when its ids cannot be printed.
func TestPublishWhoseIDsCannotBePrintedSaysThatItIsDone(t *testing.T) {
	cli, _ := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return accepted(t, c, new([]string)) })
	var stderr bytes.Buffer
	e := &env{in: strings.NewReader(`{"id":"a"}`), out: failingWriter{}, err: &stderr, getenv: func(name string) string { return cli.vars[name] }, now: time.Now}
	if code := run(t.Context(), []string{"publish", "--json"}, e); code != exitFailure || !strings.Contains(stderr.String(), "published 1 event, all there are") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
}

func TestPublishFileArgument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events.json")
	if err := os.WriteFile(file, []byte(`{"id":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	cli, _ := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return accepted(t, c, &got) })
	if code, stdout, stderr := cli.run(nil, "publish", file); code != exitOK || stdout != "Published event x.\n" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestPublishBrokenInput(t *testing.T) {
	for _, c := range []struct {
		name, input string
		args        []string
		published   int
		want        string
	}{
		{"broken line", "{\"id\":\"a\"}\nbroken\n{\"id\":\"c\"}\n", nil, 1, "stopped before line 2 of the input.\nCorrect line 2 first.\nresume with the same input to: sluice publish --from-line 2\nsluice: line 2 is not valid JSON"},
		{"empty", "", nil, 0, "sluice: there are no events in the input\n"},
		{"past the end", "{}\n", []string{"--from-line", "5"}, 0, "sluice: there are no events in the input from line 5 on\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			cli, _ := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return accepted(t, c, &got) })
			code, _, stderr := cli.run(strings.NewReader(c.input), append([]string{"publish"}, c.args...)...)
			if code != exitInvalid || len(got) != c.published || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, published %v, %q; want %q", code, got, stderr, c.want)
			}
		})
	}
}

// If a response is lost, it is unknown whether the events were published. Where ids
// were made here, receivers cannot tell.
func TestPublishLostResponse(t *testing.T) {
	for input, want := range map[string]string{`{"name":"a.b"}`: "get a new one, so receivers may see them twice.", `{"id":"a"}`: "They keep their ids"} {
		cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { panic(http.ErrAbortHandler) })
		code, _, stderr := cli.run(strings.NewReader(input), "publish")
		if code != exitUnavailable || !strings.HasPrefix(stderr, "The service may already have published the next events. ") || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %q", input, code, stderr, want)
		}
	}
}

// An interrupt ends a call in progress, and the command prints what was published.
func TestPublishInterrupted(t *testing.T) {
	var got []string
	var cli *cli
	cli, _ = newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		if n == 2 {
			defer cli.cancel()
		}
		return accepted(t, c, &got)
	})
	input, _ := events(1203)
	code, _, stderr := cli.run(strings.NewReader(input), "publish")
	if code != exitFailure || !strings.Contains(stderr, "sluice: interrupted\n") || !strings.Contains(stderr, "resume with the same input to: sluice publish --from-line ") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// interruptedInput yields its text, and then an interrupt comes while it is
// waited for.
type interruptedInput struct {
	text io.Reader
	cli  *cli
}

func (i *interruptedInput) Read(p []byte) (int, error) {
	n, err := i.text.Read(p)
	if err == nil {
		return n, nil
	}
	i.cli.cancel()
	<-i.cli.t.Context().Done() // the end of the test
	return 0, io.EOF
}

// An interrupt ends the wait for standard input, too.
func TestPublishInterruptedWhileItWaits(t *testing.T) {
	cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, object{} })
	input, _ := events(3)
	code, _, stderr := cli.run(&interruptedInput{strings.NewReader(input), cli}, "publish")
	if want := "Nothing was published.\nresume with the same input to: sluice publish\nsluice: interrupted\n"; code != exitFailure || stderr != want {
		t.Errorf("exit code %d, %q, want %q", code, stderr, want)
	}
	if len(*calls) != 0 {
		t.Errorf("%d calls after the interrupt", len(*calls))
	}
}
