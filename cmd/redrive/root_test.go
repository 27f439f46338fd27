package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for line, says := range map[string]string{
		"":                            "--stream is required",
		"--stream s":                  "--bucket is required",
		"--stream s --bucket b other": `unexpected argument "other"`,
		"--stream s --buket b":        "unknown flag: --buket",
		"--stream arn:x/s --bucket b": "not its ARN",
	} {
		var out, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(line), &env{in: strings.NewReader(""), out: &out, err: &stderr, open: func(context.Context) (clients, error) {
			t.Errorf("%s: AWS is called", line)
			return clients{}, errors.New("not here")
		}})
		if code != exitUsage || !strings.Contains(stderr.String(), says) {
			t.Errorf("%s: code %d, %s", line, code, stderr.String())
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &env{in: strings.NewReader(""), out: &out, err: &out}); code != exitOK {
		t.Errorf("code %d", code)
	}
	contains(t, out.String(), "Examples:", "go run ./cmd/redrive --bucket", "aws/lambda/", "malformed/", "Exit codes:", "--dry-run")
}

func TestConfirmation(t *testing.T) {
	for answer, yes := range map[string]bool{"y\n": true, "Yes\n": true, "n\n": false, "\n": false, "": false} {
		w := newWorld(t)
		w.publish("0#a")
		w.givenUp("a", 0, 1)
		code, out, stderr := w.command(answer, "--bucket", "b")
		if yes != (code == exitOK) || yes != (len(w.changes) > 0) {
			t.Errorf("%q: code %d, changes %q", answer, code, w.changes)
		}
		contains(t, out, "[y/N]")
		if !yes {
			contains(t, stderr, "nothing was changed", "--yes")
		}
	}
}

func TestNoCredentials(t *testing.T) {
	var out, stderr bytes.Buffer
	code := run(t.Context(), []string{"--stream", "s", "--bucket", "b", "--yes"}, &env{in: strings.NewReader(""), out: &out, err: &stderr, open: func(context.Context) (clients, error) {
		return clients{}, errFault
	}})
	if code != exitKept || !strings.Contains(stderr.String(), errFault.Error()) {
		t.Errorf("code %d, %s", code, stderr.String())
	}
}
