package eventlog

import (
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// Record is what a stream holds as one: it is appended as a whole or not at all.
type Record struct {
	// Sequence is the record's number in its stream: decimal digits, of any
	// length, that grow within a partition, though not by one. They are compared
	// as numbers. It is "" where there is no source.
	Sequence string
	Events   []event.Event // may be none
}

// Unnamed returns the events as a record without a sequence, for an append
// without a source.
func Unnamed(events ...event.Event) []Record { return []Record{{Events: events}} }

// Mark is how far a stream was appended to a partition: the source and sequence
// of its last record, both "" if there is none yet.
type Checkpoint struct{ Source, Sequence string }

// After returns the records that are after the mark: the last ones of those
// given. Records of another source, or of none, all are. It is an error if the
// records of a source have no sequences that grow.
func (m Checkpoint) After(source string, records []Record) ([]Record, error) {
	if source == "" {
		return records, nil
	}
	done := 0
	for i := range records {
		sequence := records[i].Sequence
		if sequence == "" || strings.Trim(sequence, "0123456789") != "" {
			return nil, problem.New(problem.Internal, "a record of %q has the sequence %q, which is not a decimal number", source, sequence)
		}
		if i > 0 && CompareSequences(sequence, records[i-1].Sequence) <= 0 {
			return nil, problem.New(problem.Internal, "a record of %q has the sequence %s after %s; sequences must grow", source, sequence, records[i-1].Sequence)
		}
		if m.Source == source && m.Sequence != "" && CompareSequences(sequence, m.Sequence) <= 0 {
			done = i + 1
		}
	}
	return records[done:], nil
}

// Moved is the mark once the records, which are after it, are appended.
func (m Checkpoint) Advanced(source string, records []Record) Checkpoint {
	if source == "" || len(records) == 0 {
		return m
	}
	return Checkpoint{Source: source, Sequence: records[len(records)-1].Sequence}
}

// Events returns the events of all the records, in a slice of its own.
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

// CompareSequences compares two Record.Sequence as numbers, as strings.Compare
// does with texts.
func CompareSequences(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
