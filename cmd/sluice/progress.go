package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sluicehq/sluice/internal/usertext"
)

// How often a long command reports its progress.
const (
	terminalEvery = 500 * time.Millisecond
	logEvery      = 5 * time.Second
)

// progress reports a running publish on standard error: in place on a terminal,
// otherwise as a line every logEvery.
type progress struct {
	statusLine

	env    *env
	asJSON bool
	begun  time.Time
	events int
	calls  int
	only   string // the id of the event, if there is one only
	failed error  // the first error of writing to standard output
}

func newProgress(e *env, asJSON bool) *progress {
	now := e.now()
	return &progress{statusLine: newStatusLine(e), env: e, asJSON: asJSON, begun: now}
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
	now := p.env.now()
	line := fmt.Sprintf("%s published, %.0f per second", count(p.events, "event"), p.rate(now))
	if p.terminal {
		p.show(now, line)
	} else if now.Sub(p.last) >= logEvery {
		p.last = now
		_, _ = fmt.Fprintln(p.env.err, line)
	}
}

func (p *progress) printIDs(ids []string) {
	enc := json.NewEncoder(lineWriter{p.env.out})
	for _, id := range ids {
		if err := enc.Encode(map[string]string{"id": id}); err != nil && p.failed == nil {
			p.failed = err
		}
	}
}

func (p *progress) rate(now time.Time) float64 {
	return float64(p.events) / max(now.Sub(p.begun).Seconds(), 0.001)
}

func (p *progress) waiting(cause error, delay time.Duration) {
	p.clear()
	_, _ = fmt.Fprintf(p.env.err, "%s; retrying in %s\n", usertext.Escape(cause.Error()), delay.Round(100*time.Millisecond))
}

// finish prints what was published.
func (p *progress) finish() error {
	if p.asJSON && p.failed != nil {
		return fmt.Errorf("published %s, all there are, but their ids cannot be printed: %w", count(p.events, "event"), p.failed)
	}
	if p.asJSON {
		return nil
	}
	if p.events == 1 {
		_, err := fmt.Fprintf(p.env.out, "Published event %s.\n", usertext.Escape(p.only))
		return err
	}
	now := p.env.now()
	_, err := fmt.Fprintf(p.env.out, "Published %s in %s (%s, %.0f per second).\n",
		count(p.events, "event"), count(p.calls, "call"), now.Sub(p.begun).Round(time.Millisecond), p.rate(now))
	return err
}

// count returns "1 event" or "2 events".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// statusLine is a line on standard error that is updated in place. It is silent
// unless standard error is a terminal.
type statusLine struct {
	w        io.Writer
	terminal bool
	shown    bool
	last     time.Time
}

func newStatusLine(e *env) statusLine {
	return statusLine{w: e.err, terminal: isTerminal(e.err), last: e.now()}
}

// show updates the line, at most once per terminalEvery.
func (s *statusLine) show(now time.Time, line string) {
	if !s.terminal || now.Sub(s.last) < terminalEvery {
		return
	}
	s.last, s.shown = now, true
	_, _ = fmt.Fprintf(s.w, "\r\x1b[K%s", line)
}

// clear erases the line.
func (s *statusLine) clear() {
	if s.shown {
		_, _ = io.WriteString(s.w, "\r\x1b[K")
		s.shown = false
	}
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
