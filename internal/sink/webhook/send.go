package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/sink/keepalive"
	"github.com/sluicehq/sluice/internal/timelimit"
)

// Names of the headers, in the canonical form of net/http.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
	headerAttempt   = "Sluice-Attempt"
	headerTest      = "Sluice-Test"
)

// Sender is the sink.Sender of one integration.
type Sender struct {
	client          *Client
	transport       *keepalive.Transport
	url             *url.URL
	host            string
	shown           string   // the URL as reasons show it
	authorization   []string // nil: no api_key
	current         *signer  // nil: no signing_secret
	previous        *signer  // also signs, until previousExpires
	previousExpires time.Time
}

var contentType = []string{"application/json"}

// drainTimeout limits reading the body after the status has arrived.
const drainTimeout = time.Second

// newBody returns a body that net/http recognises as being in memory and sends
// together with the headers. A type of our own would cost an extra packet.
func newBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// Close implements sink.Closer.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send posts the event. See sink.Sender. Calls made one after another are cheaper with a
// timelimit.Calls.
func (s *Sender) Send(ctx context.Context, e *event.Event, attempt int) sink.Verdict {
	return s.post(ctx, s.request(e, attempt))
}

// Test posts the event with the header sluice-test. See sink.Tester.
func (s *Sender) Test(ctx context.Context, e *event.Event) sink.Verdict {
	req := s.request(e, 1)
	req.Header[headerTest] = []string{"1"}
	return s.post(ctx, req)
}

func (s *Sender) post(ctx context.Context, req http.Request) sink.Verdict {
	call := timelimit.Begin(ctx, s.client.timeout+rand.N(s.client.spread), s.client.late)
	defer call.End()
	// Unlike http.Client, a transport follows no redirects and puts no URL into its
	// errors.
	res, err := s.transport.Send(call, &req)
	if err != nil {
		return s.noResponse(ctx, call, err)
	}
	if err := s.client.route.Check(&req, res); err != nil {
		_ = res.Body.Close()
		return s.noResponse(ctx, call, err)
	}
	if res.Body == http.NoBody {
		return s.verdict(res, nil)
	}
	call.Shorten(drainTimeout)
	return s.verdict(res, s.drain(res))
}

// drain reads the body, so that the connection can be reused, and returns the
// beginning of the body if the verdict needs it. Errors are ignored: the status
// has already decided.
func (s *Sender) drain(res *http.Response) (beginning []byte) {
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil // this body is the connection itself, which ctx does not close
	}
	if res.StatusCode == http.StatusBadRequest && s.url.Scheme == "http" {
		beginning, _ = io.ReadAll(io.LimitReader(res.Body, maxNoticeBytes))
	}
	_, _ = io.CopyN(io.Discard, res.Body, maxBodyBytes+1)
	return beginning
}

// request builds the request without http.NewRequest, which would parse the URL
// for every event. Slices and the URL are shared; net/http only reads them.
func (s *Sender) request(e *event.Event, attempt int) http.Request {
	now := s.client.now()
	values := [...]string{e.ID, strconv.FormatInt(now.Unix(), 10), strconv.Itoa(attempt), ""}
	h := make(http.Header, 8)
	h["Content-Type"] = contentType
	h["User-Agent"] = s.client.userAgent
	h[headerID] = values[0:1:1]
	h[headerTimestamp] = values[1:2:2]
	h[headerAttempt] = values[2:3:3]
	if s.authorization != nil {
		h["Authorization"] = s.authorization
	}
	if values[3] = s.signatures(now, values[0], values[1], e.Body); values[3] != "" {
		h[headerSignature] = values[3:4:4]
	}
	return http.Request{
		Method: http.MethodPost, URL: s.url, Host: s.host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: newBody(e.Body), ContentLength: int64(len(e.Body)),
		// Allows one repeat: otherwise a receiver that closes idle connections
		// fails a call at times, and each failure ends live delivery to it.
		GetBody: func() (io.ReadCloser, error) { return newBody(e.Body), nil },
	}
}

// signatures returns the value of the header webhook-signature; "" for none.
func (s *Sender) signatures(now time.Time, id, timestamp string, body []byte) string {
	if s.current == nil && s.previous == nil {
		return ""
	}
	value := make([]byte, 0, 2*signatureLength+1)
	if s.current != nil {
		value = s.current.append(value, id, timestamp, body)
	}
	if s.previous != nil && now.Before(s.previousExpires) {
		if len(value) > 0 {
			value = append(value, ' ')
		}
		value = s.previous.append(value, id, timestamp, body)
	}
	return string(value)
}

// noResponse returns the verdict of a call without a response: Interrupted if ctx
// ended, Unsent if our side could not connect, Retry if the call timed out or failed.
func (s *Sender) noResponse(ctx, call context.Context, err error) sink.Verdict {
	cause, detail, lacks := "", "", netguard.Shortage(err)
	switch {
	case lacks != "":
		return sink.Verdict{Outcome: sink.Unsent, Reason: lacks}
	case errors.Is(context.Cause(call), s.client.late):
		cause = s.client.late.Error()
	case ctx.Err() != nil:
		return sink.Verdict{Outcome: sink.Interrupted}
	default:
		cause, detail = netguard.Cause(err), netguard.Detail(err)
	}
	return sink.Verdict{Outcome: sink.Retry, Reason: s.failed(cause), Cause: cause, Detail: detail}
}

func (s *Sender) failed(cause string) string {
	return "Request to URL " + s.shown + " failed. Reason: " + cause + "."
}
