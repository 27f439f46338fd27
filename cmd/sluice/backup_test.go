package main

import (
	"bytes"
	"testing"
	"time"
)

// On a terminal a copy shows how far it is, and what it does last, which can take
// as long again. Elsewhere it shows nothing: cron sends what is written.
func TestProgressOfACopy(t *testing.T) {
	for terminal, want := range map[bool]string{
		true:  "\r\x1b[K3.0 MiB of 10.0 MiB copied\r\x1b[K10.0 MiB of 10.0 MiB copied, checking the copy\r\x1b[K",
		false: "",
	} {
		var stderr bytes.Buffer
		now := time.Unix(1_700_000_000, 0)
		e := &env{err: &stderr, now: func() time.Time { return now }}
		line := newStatusLine(e)
		line.terminal = terminal
		show := e.copied(&line)
		show(1<<20, 10<<20) // too soon
		now = now.Add(time.Second)
		show(3<<20, 10<<20)
		show(10<<20, 10<<20)
		line.clear()
		if stderr.String() != want {
			t.Errorf("terminal %v: stderr %q, want %q", terminal, stderr.String(), want)
		}
	}
}
