package publish

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/strictjson"
)

// parser parses the body of one call. The drafts alias the body.
type parser struct {
	limits limits
	call   Call
	// inRecord: the body is not a call's but a plain record's.
	inRecord bool
	body     []byte
	dec      *jsontext.Decoder
	input    []byte // of dec: the body, or one line of it
	offset   int    // of input, in body

	drafts []event.Draft
	places []place        // of the drafts
	bytes  map[string]int // of the call, by tenant
}

// place identifies an event of the call.
type place struct {
	kind  placeKind
	index int // in the list, from 0; or the line, from 1
}

type placeKind int

const (
	alone placeKind = iota
	inList
	onLine
)

// String names the event in messages.
func (p place) String() string {
	switch p.kind {
	case inList:
		return fmt.Sprintf("events[%d]", p.index)
	case onLine:
		return fmt.Sprintf("line %d", p.index)
	}
	return "The event"
}

// prefix is the beginning of the paths of its fields.
func (p place) prefix() string {
	switch p.kind {
	case inList:
		return p.String()
	case onLine:
		return p.String() + ": "
	}
	return ""
}

// reject returns a problem with a field of the event, or with the event itself if
// field is "".
func (p *parser) reject(at place, code problem.Code, field, format string, args ...any) error {
	subject := at.String()
	if field != "" {
		subject = strictjson.Path(at.prefix(), jsontext.Pointer("").AppendToken(field))
	}
	return problem.New(code, "%s "+format+".", append([]any{subject}, args...)...)
}

// broken turns an error of the decoder into a problem. Its path starts at the root of
// the decoded value, so for a list it already names the event.
func (p *parser) broken(at place, err error) error {
	where := strictjson.Place{Body: p.body, Offset: p.offset}
	if at.kind == onLine {
		where.Prefix = at.prefix()
	}
	return where.Problem(err)
}

// json reads one event or {"events":[…]}.
func (p *parser) json() error {
	if len(bytes.TrimLeft(p.body, " \t\r\n")) == 0 {
		return problem.New(problem.InvalidRequest, `The call is empty; send one event, or {"events":[…]}.`)
	}
	p.input = p.body
	p.dec = jsontext.NewDecoder(bytes.NewBuffer(p.input))
	if kind := p.dec.PeekKind(); kind == jsontext.KindBeginArray {
		return problem.New(problem.InvalidRequest, `The body is a list; send {"events":[…]}.`)
	}
	if !p.isBatch() {
		if err := p.event(place{}); err != nil {
			return err
		}
		return p.end(place{})
	}
	return p.batch()
}

// isBatch reports whether the first name in the body is "events". It does not advance
// the decoder. An invalid body is not a batch.
func (p *parser) isBatch() bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(p.body))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != jsontext.KindBeginObject {
		return false
	}
	t, err := dec.ReadToken()
	return err == nil && t.Kind() == jsontext.KindString && t.String() == "events"
}

func (p *parser) batch() error {
	for range 2 { // the brace and the name that isBatch has checked
		if _, err := p.dec.ReadToken(); err != nil {
			return p.broken(place{}, err)
		}
	}
	if p.dec.PeekKind() != jsontext.KindBeginArray {
		if err := p.checkSize(place{}); err != nil {
			return err
		}
		if err := p.skip(place{}); err != nil {
			return err
		}
		return problem.New(problem.InvalidRequest, "events must be a list of events.")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return p.broken(place{}, err)
	}
	for p.dec.PeekKind() != jsontext.KindEndArray {
		if err := p.event(place{inList, len(p.drafts)}); err != nil {
			return err
		}
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return p.broken(place{}, err)
	}
	t, err := p.dec.ReadToken()
	switch {
	case err != nil:
		return p.broken(place{}, err)
	case t.Kind() == jsontext.KindString:
		return problem.New(problem.UnknownField, "%s is not a known field next to events; move it into an event, or leave it out.",
			strictjson.Path("", p.dec.StackPointer()))
	}
	return p.end(place{})
}

// lines reads one event per line.
func (p *parser) lines() error {
	p.dec = jsontext.NewDecoder(new(bytes.Buffer))
	var line []byte
	rest, number, more := p.body, 0, true
	for more {
		p.offset = len(p.body) - len(rest)
		line, rest, more = bytes.Cut(rest, []byte{'\n'})
		number++
		if len(bytes.TrimLeft(line, " \t\r")) == 0 {
			continue
		}
		at := place{onLine, number}
		p.input = line
		p.dec.Reset(bytes.NewBuffer(line))
		if err := p.event(at); err != nil {
			return err
		}
		if err := p.end(at); err != nil {
			return err
		}
	}
	return nil
}

// end checks that no value follows.
func (p *parser) end(at place) error {
	after := int(p.dec.InputOffset())
	switch _, err := p.dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		after += len(p.body[p.offset+after:]) - len(bytes.TrimLeft(p.body[p.offset+after:], " \t\r\n"))
		followed := errFollowed
		if p.inRecord {
			followed = errOneEvent
		}
		return p.broken(at, &jsontext.SyntacticError{ByteOffset: int64(after), Err: followed})
	default:
		return p.broken(at, err)
	}
}

var (
	errFollowed = errors.New("another value follows the first; to send one event per line, use the content type application/x-ndjson")
	errOneEvent = errors.New("another value follows the first; put each event in a record of its own")
)

func (p *parser) skip(at place) error {
	if err := p.dec.SkipValue(); err != nil {
		return p.broken(at, err)
	}
	return nil
}
