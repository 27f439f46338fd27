package main

import (
	"bytes"
	"encoding/json"
	"log" //nolint:depguard // serve sets its output
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/listener"
)

// hostile has what clears a screen, what a terminal takes for an escape sequence in one
// byte (C1), what deletes, and what shows text in another order.
const hostile = "a\x1b[2J\u009b31m\x7f\u202egpj\u2066\u200f\U000e0041\r"

// wantTame fails if text has anything but what is printed, in lines.
func wantTame(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%s: %q prints %q", what, text, text[i:])
	}
}

// Whatever the server, a tenant or a receiver puts into a text, the terminal shows it
// and does not obey it.
func TestTextFromElsewhereDoesNotReachTheTerminal(t *testing.T) {
	in := object{
		"id": hostile, "integration_type": hostile, "status": hostile, "unknown": hostile,
		"callback_parameters": object{"callback_url": hostile}, "filter_conditions": object{"event_filter": []any{hostile}},
	}
	for args, body := range map[string]any{
		"integrations list":    object{"integrations": []any{in}},
		"integrations get a":   in,
		"integrations start a": in,
		"integrations logs a":  object{"entries": []any{object{"action": hostile, "reason": hostile, "created_at": hostile}}},
		"rejected list a":      object{"rejected_events": []any{object{"id": hostile, "created_at": hostile, "event_name": hostile, "reason": hostile, "status_code": 400.0}}},
		"rejected get a e":     object{"id": "e", "payload": object{hostile: hostile}},
		"events get e": object{
			"event":        object{"id": "e", "name": hostile, "published_at": hostile, "payload": object{hostile: hostile}},
			"integrations": []any{object{"id": hostile, "verdict": hostile, "because": hostile, "delivery": nil}},
		},
	} {
		cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, body })
		code, stdout, stderr := cli.run(nil, strings.Fields(args)...)
		if code != exitOK || !strings.Contains(stdout, "a") {
			t.Errorf("%s: exit code %d, %q, %q", args, code, stdout, stderr)
		}
		wantTame(t, args, stdout+stderr)
		_, stdout, stderr = cli.run(nil, append(strings.Fields(args), "--json")...)
		wantTame(t, args+" --json", stdout+stderr)
		var got any
		if err := json.Unmarshal([]byte(stdout), &got); err != nil {
			t.Fatal(err)
		}
		if args == "integrations get a" {
			shown := maps.Clone(in)
			shown["health"], body = in, shown // the server's only answer
		}
		if diff := cmp.Diff(body, got); diff != "" {
			t.Errorf("%s --json means something else:\n%s", args, diff)
		}
	}
}

func TestErrorsFromElsewhereDoNotReachTheTerminal(t *testing.T) {
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) {
		return http.StatusBadRequest, object{"error_code": hostile, "message": hostile, "request_id": hostile}
	})
	_, stdout, stderr := cli.run(nil, "integrations", "get", "a")
	wantTame(t, "an error", stdout+stderr)
	if !strings.Contains(stderr, `\u202egpj`) {
		t.Errorf("the error is %q", stderr)
	}
}

func TestIDsOfPublishedEventsDoNotReachTheTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&env{out: &out, err: &out, now: time.Now}, true)
	p.published([]string{hostile})
	wantTame(t, "publish --json", out.String())
}

func TestReceivedBodiesDoNotReachTheTerminal(t *testing.T) {
	body, err := json.Marshal(object{"name": hostile})
	if err != nil {
		t.Fatal(err)
	}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		f := &listenFlags{env: &env{out: &out, err: &out}, asJSON: asJSON}
		f.print(listener.Delivery{ID: hostile, Name: hostile, Body: body})
		wantTame(t, "listen", out.String())
		if !strings.Contains(out.String(), "gpj") {
			t.Errorf("listen prints %q", out.String())
		}
	}
}

// The node's own log lines name tenants, URLs and events.
func TestLogLinesOfTheNodeDoNotReachTheTerminal(t *testing.T) {
	before := log.Writer()
	defer log.SetOutput(before)
	t.Setenv("SLUICE_A\u009b\u202e\x7f", "no setting")
	cli := &cli{t: t}
	code, _, stderr := cli.run(nil, "serve", "--addr", "127.0.0.1:99999", "--data", t.TempDir())
	if code != exitFailure || !strings.Contains(stderr, `SLUICE_A\u009b\u202e\u007f`) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	wantTame(t, "serve", stderr)
}
