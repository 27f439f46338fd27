package main

import (
	"fmt"
	"io"
)

// tally tells how far the run is, and counts.
type tally struct {
	out    io.Writer
	dryRun bool
	failed bool // it could not be looked at what was set aside

	back    int // messages and objects that are all back
	records int // put on the stream
	stayed  int // messages and objects
}

func (t *tally) say(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format+"\n", args...) }

// done notes a message or an object that is back, or could be.
func (t *tally) done(records int) {
	t.back++
	t.records += records
}

// stays notes one that is not.
func (t *tally) stays(err error) {
	t.stayed++
	t.say("  STAYS: %v", err)
}

// summary says what was done, and what to do next.
func (t *tally) summary() {
	switch {
	case t.back+t.stayed == 0 && t.failed:
		t.say("Nothing was changed; it is not known what was set aside.")
	case t.back+t.stayed == 0:
		t.say("Nothing was set aside.")
	case t.dryRun:
		t.say("Dry run: %d could be put back (%d records), %d would stay. Nothing was changed.", t.back, t.records, t.stayed)
	default:
		t.say("Done: %d put back (%d records), %d stayed.", t.back, t.records, t.stayed)
	}
	if t.back > 0 && !t.dryRun {
		t.say("Next: watch the iterator age of fanout go down, and look whether the queue stays empty for a day.")
	}
	if t.stayed > 0 {
		t.say(`Next: see "Redrive" in docs/operations.md for what stayed.`)
	}
}
