package publish

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/strictjson"
)

// eventMemory is more than an event takes beside its part of the body, in bytes: as a draft
// while it waits for the log, and as an event, without its payload, while it is written.
const eventMemory = 512

// Weight returns how many bytes the publish of a body with at most the given number of
// events takes at most, beside the body itself: the payloads once more, as they are written,
// and what each event takes. What parsing takes for a moment is not part of it: a Service
// bounds that.
func Weight(body []byte, events int) int64 {
	// An event has two braces at least: its own, and that of its payload.
	return int64(len(body)) + eventMemory*int64(min(events, bytes.Count(body, []byte{'{'})/2+1))
}

// checkSize returns an error if the object or array that comes next in the input is larger
// than an event may be. The decoder keeps the names of an object until its end, which takes
// ten times their size, so this looks first, and keeps nothing.
func (p *parser) checkSize(at place) error {
	rest := bytes.TrimLeft(p.input[p.dec.InputOffset():], " \t\r\n,:")
	if limit := p.limits.event; int64(len(rest)) <= limit || endsWithin(rest[:limit]) {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(rest), jsontext.AllowDuplicateNames(true))
	if err := dec.SkipValue(); err != nil { // invalid JSON is the better error
		offset := p.offset + len(p.input) - len(rest)
		where := strictjson.Place{Body: p.body, Offset: offset, Prefix: at.prefix()}
		return where.Problem(err)
	}
	return p.tooLarge(at, dec.InputOffset())
}

func (p *parser) tooLarge(at place, size int64) error {
	return p.reject(at, problem.PayloadTooLarge, "", "has %d bytes; the limit is %d", size, p.limits.event)
}

// endsWithin reports whether the JSON value at the start of text ends in it, or is neither
// an object nor an array. Of invalid JSON it may report either.
func endsWithin(text []byte) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			i += stringLength(text[i:]) - 1
		}
		if depth <= 0 {
			return true
		}
	}
	return false
}

// stringLength returns the length of the JSON string at the start of text, with its quotes,
// or the length of text if the string does not end in it.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return len(text)
		}
		i += n
		escapes := 0
		for text[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return len(text)
}
