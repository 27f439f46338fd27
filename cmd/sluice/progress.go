package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// How often a long publish says how far it is.
const (
	terminalEvery = 500 * time.Millisecond
	logEvery      = 5 * time.Second
)

// progress tells of a publish on standard error while it runs: in place on a
// terminal, else a line now and then.
type progress struct {
	env      *env
	asJSON   bool
	terminal bool
	shown    bool // a line in place is on the terminal
	begun    time.Time
	last     time.Time
	events   int
	calls    int
	only     string // the id of the event, while there is but one
	failed   error  // to write to standard output
}

func newProgress(e *env, asJSON bool) *progress {
	now := e.now()
	return &progress{env: e, asJSON: asJSON, terminal: isTerminal(e.err), begun: now, last: now}
}

func (p *progress) published(ids []string) {
	p.calls++
	p.events += len(ids)
	if p.events == 1 {
		p.only = ids[0]
	}
	if p.asJSON {
		p.printIDs(ids)
	}
	now, every := p.env.now(), logEvery
	if p.terminal {
		every = terminalEvery
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	line := fmt.Sprintf("%s published, %.0f a second", count(p.events, "event"), p.rate(now))
	if p.terminal {
		p.shown = true
		_, _ = fmt.Fprintf(p.env.err, "\r\x1b[K%s", line)
		return
	}
	_, _ = fmt.Fprintln(p.env.err, line)
}

func (p *progress) printIDs(ids []string) {
	enc := json.NewEncoder(p.env.out)
	for _, id := range ids {
		if err := enc.Encode(map[string]string{"id": id}); err != nil && p.failed == nil {
			p.failed = err
		}
	}
}

func (p *progress) rate(now time.Time) float64 {
	return float64(p.events) / max(now.Sub(p.begun).Seconds(), 0.001)
}

func (p *progress) waiting(cause error, pause time.Duration) {
	p.clear()
	_, _ = fmt.Fprintf(p.env.err, "%s; trying again in %s\n", printable(cause.Error()), pause.Round(100*time.Millisecond))
}

// clear takes the line in place off the terminal.
func (p *progress) clear() {
	if p.shown {
		_, _ = io.WriteString(p.env.err, "\r\x1b[K")
		p.shown = false
	}
}

// finish says what was done.
func (p *progress) finish() error {
	if p.asJSON {
		return p.failed
	}
	if p.events == 1 {
		_, err := fmt.Fprintf(p.env.out, "Published event %s.\n", printable(p.only))
		return err
	}
	now := p.env.now()
	_, err := fmt.Fprintf(p.env.out, "Published %s in %s (%s, %.0f a second).\n",
		count(p.events, "event"), count(p.calls, "call"), now.Sub(p.begun).Round(time.Millisecond), p.rate(now))
	return err
}

// count is "1 event" or "2 events".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// isTerminal reports whether a stream is a character device.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
