package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
)

// A call of Upload holds less than the server takes by default (1,000 events,
// 5 MiB), so that it works where these limits were lowered somewhat, and so
// that a failed call leaves little to repeat.
const (
	callEvents = 500
	callBytes  = 1 << 20

	maxTries  = 6
	firstWait = 500 * time.Millisecond
	maxWait   = time.Minute // a longer Retry-After ends the upload
)

// Publish publishes events, one JSON object a line, and returns their ids in
// the same order. All are durable when it returns, or none is.
func (c *Client) Publish(ctx context.Context, ndjson []byte) ([]string, error) {
	var out struct {
		Events []struct {
			ID string `json:"id"`
		} `json:"events"`
	}
	if err := c.call(ctx, http.MethodPost, eventsPath, "application/x-ndjson", ndjson, &out); err != nil {
		return nil, err
	}
	ids := make([]string, len(out.Events))
	for i, e := range out.Events {
		ids[i] = e.ID
	}
	return ids, nil
}

// Upload publishes a whole input, call by call. A call that the service cannot
// take at the moment is tried again with back-off, a few times; its events
// have ids by then, the same in every try.
type Upload struct {
	Client *Client

	Published func(ids []string)                         // unless nil, told of each call that is through
	Waiting   func(cause error, pause time.Duration)     // unless nil, told of each pause before a new try
	Sleep     func(context.Context, time.Duration) error // returns early with the error of a context that is done
	through   bool                                       // a call got an answer
}

// ResumeError is what stopped an upload. Everything before Place is published.
type ResumeError struct {
	Place Place
	Err   error
	// Refused is the place of the event that the service refused, with a
	// Number of 0 where it did not name one.
	Refused Place
	// Unsure is set when nobody knows whether the events from Place on were
	// taken, and some of them have an id of our making: to publish them again
	// may bring them twice.
	Unsure bool
}

// Error is the text of the cause.
func (e *ResumeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ResumeError) Unwrap() error { return e.Err }

// Run publishes every event of the input. On failure it returns a
// *ResumeError: what precedes the failure in the input is published by then,
// as far as the service takes it.
func (u *Upload) Run(ctx context.Context, in *Reader) error {
	var b batch
	for {
		e, err := in.Next()
		if err == nil && b.fits(e) {
			b.add(e)
			continue
		}
		if sendErr := u.send(ctx, &b); sendErr != nil {
			return b.failed(sendErr)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return inputFailed(err, in.after())
		}
		b = batch{}
		b.add(e)
	}
}

// send publishes a batch, with back-off.
func (u *Upload) send(ctx context.Context, b *batch) error {
	if len(b.places) == 0 {
		return nil
	}
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		ids, err := u.Client.Publish(ctx, b.body)
		if err == nil {
			u.through = true
			if u.Published != nil {
				u.Published(ids)
			}
			return nil
		}
		b.unsure = b.unsure || b.made && mayBeTaken(err)
		pause := pauseAfter(try, rand.Float64())
		if e, ok := errors.AsType[*Error](err); ok {
			pause = max(pause, e.RetryAfter)
		}
		if try == maxTries || pause > maxWait || !u.worthAnotherTry(err) {
			return err
		}
		if u.Waiting != nil {
			u.Waiting(err, pause)
		}
		if err := u.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// worthAnotherTry is false for a service that was never reached: that is more
// likely a wrong URL than a bad moment.
func (u *Upload) worthAnotherTry(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		u.through = true
		switch e.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	_, unreachable := errors.AsType[*UnreachableError](err)
	return unreachable && u.through
}

// pauseAfter is the pause after the given try, from 1: 0.5 s, doubling to at most
// 8 s, of which the random share in [0,1) takes away up to half.
func pauseAfter(try int, random float64) time.Duration {
	pause := backoff.Ceiling(firstWait, try, 8*time.Second)
	return pause - time.Duration(random*float64(pause/2))
}

// batch is the events of one call.
type batch struct {
	body   []byte
	places []Place
	made   bool // an event has an id of our making
	unsure bool // and a try may have had its effect, though it failed
}

func (b *batch) fits(e InputEvent) bool {
	return len(b.places) == 0 || len(b.places) < callEvents && len(b.body)+len(e.Body) < callBytes
}

func (b *batch) add(e InputEvent) {
	b.body = append(append(b.body, e.Body...), '\n')
	b.places = append(b.places, e.Place)
	b.made = b.made || e.MadeID
}

func (b *batch) failed(err error) *ResumeError {
	out := &ResumeError{Place: b.places[0], Err: err, Unsure: b.unsure}
	e, answered := errors.AsType[*Error](err)
	if !answered || e.Status >= 500 {
		return out
	}
	out.Refused = b.refused(e.Message)
	if out.Refused.Number > 0 {
		here := *e
		here.Message = inInput(e.Message, out.Refused)
		out.Err = &here
	}
	return out
}

// mayBeTaken is false after an answer that refuses, and where no connection
// was made.
func mayBeTaken(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status >= 500 && e.Status != http.StatusServiceUnavailable
	}
	op, ok := errors.AsType[*net.OpError](err)
	return !ok || op.Op != "dial"
}

var (
	linePattern   = regexp.MustCompile(`\bline (\d+)`)
	columnPattern = regexp.MustCompile(` \(line \d+, column \d+\)`)
)

// inInput puts the place in the input into a message that names the line of
// the call. A column is that in the body of the call, so it goes.
func inInput(message string, at Place) string {
	if short := columnPattern.ReplaceAllString(message, ""); linePattern.MatchString(short) {
		message = short
	}
	found := linePattern.FindStringIndex(message)
	return message[:found[0]] + at.String() + message[found[1]:]
}

// refused finds the event that a message speaks of by its line in the call.
func (b *batch) refused(message string) Place {
	m := linePattern.FindStringSubmatch(message)
	if m == nil {
		return Place{}
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n < 1 || n > len(b.places) {
		return Place{}
	}
	return b.places[n-1]
}

// inputFailed says where to go on when the input itself is at fault.
func inputFailed(err error, next Place) *ResumeError {
	if e, ok := errors.AsType[*InputError](err); ok {
		next = e.Place
	}
	return &ResumeError{Place: next, Err: err}
}
