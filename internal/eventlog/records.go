package eventlog

import (
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// Record is one record of a stream. It is appended as a whole or not at all.
type Record struct {
	// Sequence is the record's number in its stream: a decimal number of any length,
	// "" if there is no source. Sequences grow within a partition, but not by one.
	Sequence string
	Events   []event.Event // may be empty
}

// Unnamed returns the events as one record without a sequence, for an append without a
// source.
func Unnamed(events ...event.Event) []Record { return []Record{{Events: events}} }

// Checkpoint is how far a source has been appended to a partition: the source and
// sequence of its last record, both "" if there is none yet.
type Checkpoint struct{ Source, Sequence string }

// After returns the records after the checkpoint, which are a suffix of those given:
// all of them if their source is another one or "". It returns an error if the records
// of a source do not have growing sequences.
func (c Checkpoint) After(source string, records []Record) ([]Record, error) {
	if source == "" {
		return records, nil
	}
	done := 0
	for i := range records {
		sequence := records[i].Sequence
		if sequence == "" || strings.Trim(sequence, "0123456789") != "" {
			return nil, problem.New(problem.Internal, "a record of %q has the sequence %q; it must be a decimal number", source, sequence)
		}
		if i > 0 && CompareSequences(sequence, records[i-1].Sequence) <= 0 {
			return nil, problem.New(problem.Internal, "a record of %q has the sequence %s after %s; sequences must grow", source, sequence, records[i-1].Sequence)
		}
		if c.Source == source && c.Sequence != "" && CompareSequences(sequence, c.Sequence) <= 0 {
			done = i + 1
		}
	}
	return records[done:], nil
}

// Advanced returns the checkpoint after the records, which must be after c, are
// appended.
func (c Checkpoint) Advanced(source string, records []Record) Checkpoint {
	if source == "" || len(records) == 0 {
		return c
	}
	return Checkpoint{Source: source, Sequence: records[len(records)-1].Sequence}
}

// Events returns the events of all records in a new slice.
func Events(records []Record) []event.Event {
	n := 0
	for i := range records {
		n += len(records[i].Events)
	}
	events := make([]event.Event, 0, n)
	for i := range records {
		events = append(events, records[i].Events...)
	}
	return events
}

// CompareSequences compares two values of Record.Sequence as numbers. Like
// strings.Compare it returns a negative number, 0 or a positive number.
func CompareSequences(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
