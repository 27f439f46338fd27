package main

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// A long publish says now and then how far it is, a short one does not.
func TestProgress(t *testing.T) {
	var out, stderr bytes.Buffer
	now := time.Unix(1_700_000_000, 0)
	p := newProgress(&env{out: &out, err: &stderr, now: func() time.Time { return now }}, false)
	for range 6 {
		now = now.Add(2 * time.Second)
		p.published(make([]string, 500))
	}
	p.clear()
	want := "1500 events published, 250 per second\n3000 events published, 250 per second\n"
	if stderr.String() != want {
		t.Errorf("stderr %q, want %q", stderr.String(), want)
	}
	if err := p.finish(); err != nil {
		t.Error(err)
	}
	if want := "Published 3000 events in 6 calls (12s, 250 per second).\n"; out.String() != want {
		t.Errorf("stdout %q, want %q", out.String(), want)
	}
}

// On a terminal the line is written in place, and taken away at the end.
func TestProgressOnATerminal(t *testing.T) {
	var stderr bytes.Buffer
	now := time.Unix(1_700_000_000, 0)
	p := newProgress(&env{err: &stderr, now: func() time.Time { return now }}, false)
	p.terminal = true
	now = now.Add(time.Second)
	p.published(make([]string, 500))
	p.waiting(errors.New("busy"), time.Second)
	want := "\r\x1b[K500 events published, 500 per second\r\x1b[Kbusy; retrying in 1s\n"
	if stderr.String() != want {
		t.Errorf("stderr %q, want %q", stderr.String(), want)
	}
}
