package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sluicehq/sluice/internal/usertext"
)

// MaxEvent limits an event of an input, in bytes. It is the default limit of a
// call; the server enforces the limit of an event.
const MaxEvent = 5 << 20

// InputError reports a fault at one place of an input.
type InputError struct {
	Place   Place
	Message string
}

// Error returns the place and the message.
func (e *InputError) Error() string { return fmt.Sprintf("%s %s", e.Place, e.Message) }

// Place locates an event in an input: the line it begins on or, in a JSON array,
// its number. Both count from 1.
type Place struct {
	Number int
	Array  bool
}

// String returns "line 7" or "event 7".
func (p Place) String() string {
	if p.Array {
		return fmt.Sprintf("event %d", p.Number)
	}
	return fmt.Sprintf("line %d", p.Number)
}

// InputEvent is one event of an input: compact JSON, with an id.
type InputEvent struct {
	Place  Place
	Body   []byte
	MadeID bool // the id was generated here
}

// Reader reads events from an input: JSON objects, each on one or several lines,
// or one JSON array of objects. It checks only the outer structure; the server
// validates the events.
type Reader struct {
	from  int // events before this place are skipped
	src   *lineSource
	dec   *json.Decoder
	array bool
	count int // events read
	end   int // the line that the latest event ends on
}

// NewReader returns a reader of src that skips everything before from: a line or,
// in a JSON array, an event, counted from 1.
func NewReader(src io.Reader, from int) *Reader {
	return &Reader{from: from, src: &lineSource{r: bufio.NewReaderSize(src, 64<<10), line: 1}}
}

// Next returns the next event, io.EOF after the last one, or an *InputError.
// After an error it must not be called again.
func (r *Reader) Next() (InputEvent, error) {
	if r.dec == nil {
		if err := r.begin(); err != nil {
			return InputEvent{}, err
		}
	}
	for {
		e, err := r.next()
		if err != nil || e.Place.Number >= r.from {
			return e, err
		}
	}
}

// after returns the place after the last event.
func (r *Reader) after() Place {
	if r.array {
		return Place{max(r.from, r.count+1), true}
	}
	return Place{Number: max(r.from, r.end+1)}
}

// begin checks the encoding of the input and determines from the first character
// whether it is an array.
func (r *Reader) begin() error {
	start, _ := r.src.r.Peek(3) // an error shows in the next read
	if err := usertext.CheckEncoding(start); err != nil {
		return &InputError{Place{Number: 1}, "of the input " + err.Error()}
	}
	first, err := r.src.skipSpace()
	if err != nil {
		return err
	}
	r.array = first == '['
	if !r.array {
		if err := r.src.skipLines(r.from); err != nil {
			return err
		}
	}
	r.dec = json.NewDecoder(r.src)
	if r.array {
		_, err = r.dec.Token()
	}
	return err
}

func (r *Reader) next() (InputEvent, error) {
	if r.array && !r.dec.More() {
		return InputEvent{}, r.endOfArray()
	}
	var raw json.RawMessage
	if err := r.dec.Decode(&raw); err != nil {
		return InputEvent{}, r.broken(err)
	}
	end := r.dec.InputOffset()
	line := r.src.lineAt(end - int64(len(raw)))
	last := r.end
	r.end = r.src.lineAt(end)
	r.src.free(end)
	r.count++

	place := Place{Number: line}
	if r.array {
		place = Place{Number: r.count, Array: true}
	}
	switch {
	case raw[0] != '{':
		return InputEvent{}, &InputError{place, "is not an event; an event is a JSON object"}
	case !r.array && line == last:
		return InputEvent{}, &InputError{place, "contains more than one event; put each on its own line"}
	}
	body, made, err := withID(raw)
	return InputEvent{Place: place, Body: body, MadeID: made}, err
}

func (r *Reader) endOfArray() error {
	if _, err := r.dec.Token(); err != nil {
		return r.broken(err)
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return &InputError{Place{r.count + 1, true}, "follows the end of the array; put every event into the array"}
	}
	return io.EOF
}

// broken converts an error of the decoder to an InputError. It skips the white
// space before the invalid event to find the line on which that begins.
func (r *Reader) broken(err error) error {
	if !r.array && errors.Is(err, io.EOF) {
		return io.EOF
	}
	place := Place{Number: r.count + 1, Array: true}
	if !r.array {
		place = Place{Number: r.src.lineAt(r.dec.InputOffset() + spaceBefore(r.dec.Buffered()))}
	}
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, errTooLong):
		return &InputError{place, fmt.Sprintf("begins an event that exceeds the limit of %d bytes", MaxEvent)}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &InputError{place, "is truncated: the input ends within an event"}
	case isSyntax && r.beginsWithMark():
		return &InputError{place, "begins with a byte order mark; save the input as UTF-8 without one, also where files were joined"}
	case isSyntax:
		return &InputError{place, "is not valid JSON: " + syntax.Error()}
	}
	return fmt.Errorf("read input: %w", err)
}

// beginsWithMark reports whether the invalid event begins with a byte order mark.
func (r *Reader) beginsWithMark() bool {
	rest, err := io.ReadAll(r.dec.Buffered())
	return err == nil && bytes.HasPrefix(bytes.TrimLeft(rest, separators), []byte("\ufeff"))
}

// separators may be before an event.
const separators = " \t\r\n,"

func spaceBefore(r io.Reader) int64 {
	rest, err := io.ReadAll(r)
	if err != nil {
		return 0
	}
	return int64(len(rest) - len(bytes.TrimLeft(rest, separators)))
}
