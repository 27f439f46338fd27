package main

import (
	"fmt"
	"io"
)

// tally reports progress and keeps the counts of a run.
type tally struct {
	out    io.Writer
	dryRun bool
	failed bool // the bucket could not be read

	back    int // objects that were put back completely
	records int // put on the stream
	kept    int // objects
}

func (t *tally) say(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format+"\n", args...) }

// done counts an object that was put back, or in a dry run could be.
func (t *tally) done(records int) {
	t.back++
	t.records += records
}

// keep counts one that was not, and prints why.
func (t *tally) keep(err error) {
	t.kept++
	t.say("  KEPT: %v", err)
}

// summary prints what was done and what to do next.
func (t *tally) summary() {
	switch {
	case t.back+t.kept == 0 && t.failed:
		t.say("Nothing was changed; the bucket could not be read.")
	case t.back+t.kept == 0:
		t.say("There is nothing to put back.")
	case t.dryRun:
		t.say("Dry run: %d could be put back (%d records), %d would be kept. Nothing was changed.", t.back, t.records, t.kept)
	default:
		t.say("Done: %d put back (%d records), %d kept.", t.back, t.records, t.kept)
	}
	if t.back > 0 && !t.dryRun {
		t.say("Next: watch fanout's iterator age go down, and check that the bucket has no new objects under aws/lambda/.")
	}
	if t.kept > 0 {
		t.say(`Next: see "Redrive" in docs/operations.md for what was kept.`)
	}
}
