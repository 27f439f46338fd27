package client

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	random "math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// A call of Upload stays below the server's default limits (1,000 events, 5 MiB),
// so that it works with somewhat lower limits and a failed call repeats little.
const (
	callEvents = 500
	callBytes  = 1 << 20

	maxTries  = 6
	firstWait = 500 * time.Millisecond
	maxWait   = time.Minute // a longer Retry-After ends the upload
)

// Publish publishes events, one JSON object per line, and returns their ids in the
// same order. All of them are durable when it returns without an error.
func (c *Client) Publish(ctx context.Context, ndjson []byte) ([]string, error) {
	return c.publish(ctx, ndjson)
}

// PublishOnce is Publish for a call that the service does once: for 24 hours a repeat with
// the same key and events publishes nothing again and returns the same ids.
func (c *Client) PublishOnce(ctx context.Context, key string, ndjson []byte) ([]string, error) {
	return c.publish(ctx, ndjson, "Idempotency-Key", key)
}

func (c *Client) publish(ctx context.Context, ndjson []byte, headers ...string) ([]string, error) {
	var out struct {
		Events []struct {
			ID string `json:"id"`
		} `json:"events"`
	}
	if err := c.call(ctx, http.MethodPost, eventsPath, "application/x-ndjson", ndjson, &out, headers...); err != nil {
		return nil, err
	}
	ids := make([]string, len(out.Events))
	for i, e := range out.Events {
		ids[i] = e.ID
	}
	return ids, nil
}

// Upload publishes an input in several calls. It retries a call that fails
// temporarily, up to maxTries times with backoff; every try sends the same event
// ids and the same idempotency key, so that a call whose response was lost is not done
// twice. An Upload must not be used concurrently.
type Upload struct {
	Client *Client

	Published func(ids []string)                         // unless nil, called after each successful call
	Waiting   func(cause error, delay time.Duration)     // unless nil, called before each delay
	Sleep     func(context.Context, time.Duration) error // returns an error early if the context ends
	reached   bool                                       // a call got a response
}

// ResumeError reports why an upload stopped. Everything before Place is published.
type ResumeError struct {
	Place Place
	Err   error
	// Refused is the place of the event that the service refused. Its Number is 0
	// if the service did not name one.
	Refused Place
	// Unsure reports that events from Place on may already be published: a response was
	// lost, or the service failed within a call.
	Unsure bool
	// MadeIDs reports that some of these events have a generated id: publishing them again
	// may duplicate them.
	MadeIDs bool
}

// Error returns the text of the cause.
func (e *ResumeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ResumeError) Unwrap() error { return e.Err }

// Run publishes every event of the input. It returns a *ResumeError on failure; if
// the input is invalid, it first publishes the events before the fault.
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

// send publishes a batch, with retries.
func (u *Upload) send(ctx context.Context, b *batch) error {
	if len(b.places) == 0 {
		return nil
	}
	key := rand.Text()
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		ids, err := u.Client.PublishOnce(ctx, key, b.body)
		if err == nil {
			u.reached = true
			if u.Published != nil {
				u.Published(ids)
			}
			return nil
		}
		b.unsure = b.unsure || mayBePublished(err)
		delay := delayAfter(try, random.Float64())
		if e, ok := errors.AsType[*Error](err); ok {
			delay = max(delay, e.RetryAfter)
		}
		if try == maxTries || delay > maxWait || !u.retryable(err) {
			return err
		}
		if u.Waiting != nil {
			u.Waiting(err, delay)
		}
		if err := u.Sleep(ctx, delay); err != nil {
			return err
		}
	}
}

// retryable reports whether a call may succeed later. A service that was never
// reached is not retried: the URL is probably wrong.
func (u *Upload) retryable(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		u.reached = true
		switch e.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return e.Code == string(problem.KeyInProgress) // of an earlier try
	}
	_, unreachable := errors.AsType[*UnreachableError](err)
	return unreachable && u.reached
}

// delayAfter is the delay after the given try, from 1: 0.5 s, doubling to at most
// 8 s, of which the random share in [0,1) takes away up to half.
func delayAfter(try int, random float64) time.Duration {
	delay := backoff.Ceiling(firstWait, try, 8*time.Second)
	return delay - time.Duration(random*float64(delay/2))
}

// batch is the body of one call.
type batch struct {
	body   []byte
	places []Place
	made   bool // an event has a generated id
	unsure bool // a failed try may have taken effect
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
	out := &ResumeError{Place: b.places[0], Err: err, Unsure: b.unsure, MadeIDs: b.made}
	e, responded := errors.AsType[*Error](err)
	if !responded || e.Status >= 500 {
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

// mayBePublished reports whether a failed call may have taken effect, as a whole or in
// part: not if the service refused it or no connection was established.
func mayBePublished(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status >= 500 || e.Code == string(problem.KeyInProgress)
	}
	op, ok := errors.AsType[*net.OpError](err)
	return !ok || op.Op != "dial"
}

var (
	linePattern   = regexp.MustCompile(`\bline (\d+)`)
	columnPattern = regexp.MustCompile(` \(line \d+, column \d+\)`)
)

// inInput replaces the line of the call in a message by the place in the input. It
// removes the column, which refers to the body of the call.
func inInput(message string, at Place) string {
	if short := columnPattern.ReplaceAllString(message, ""); linePattern.MatchString(short) {
		message = short
	}
	found := linePattern.FindStringIndex(message)
	return message[:found[0]] + at.String() + message[found[1]:]
}

// refused returns the place of the event whose line a message names.
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

// inputFailed returns a ResumeError for an error of the input, with the place to
// resume from.
func inputFailed(err error, next Place) *ResumeError {
	if e, ok := errors.AsType[*InputError](err); ok {
		next = e.Place
	}
	return &ResumeError{Place: next, Err: err}
}
