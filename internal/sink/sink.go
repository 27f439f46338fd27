// Package sink is the port for targets of events: a Sender of single events, such
// as a webhook, or an Exporter of whole files, such as an S3 bucket. The adapters
// are in the packages below it; package catalog lists them.
package sink

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// Outcome is the kind of a Verdict. The zero value is not an outcome.
type Outcome int

// The outcomes of an attempt.
const (
	Delivered   Outcome = iota + 1 // the receiver has the event
	Rejected                       // the receiver will never accept the event
	Retry                          // the receiver failed: back off and try again
	Interrupted                    // our side ended the attempt (shutdown, stop, leave); it does not count
	Unsent                         // our side has no descriptor or port for a connection; it does not count
)

// String returns the outcome as a word for logs and metrics.
func (o Outcome) String() string {
	return [...]string{"unknown", "delivered", "rejected", "retry", "interrupted", "unsent"}[o]
}

// Verdict is the result of one attempt.
type Verdict struct {
	Outcome Outcome
	// Reason is a sentence for the integration's log, set for Rejected and Retry.
	// It names the target and the cause and never contains a secret. With Unsent it
	// is what our side lacks, for the operator.
	Reason string
	// Detail, with Retry, is what the customer must not learn of our network, for the
	// operator's log alone; "" if Reason says all.
	Detail string
	// Cause, with Rejected and Retry, is the cause alone: two attempts with the same
	// Cause failed for the same reason. With a test that was delivered it is what failed
	// afterwards, usually "".
	Cause string
	// RetryAfter is how long the receiver asked us to wait; 0 if it did not. At
	// most an hour.
	RetryAfter time.Duration
	// Status is the receiver's HTTP status; 0 if there was no response.
	Status int
	// Started and Took are when the attempt began and how long it took, as its caller has
	// measured it. A sink leaves them out.
	Started time.Time
	Took    time.Duration
	// Unknown, with any other outcome than Delivered, says that the file may still be stored,
	// now or later: its last request was sent and got no response.
	Unknown bool
}

// DetailAttr returns Detail for a log line, and an attribute that handlers ignore if
// there is none.
func (v Verdict) DetailAttr() slog.Attr {
	if v.Detail == "" {
		return slog.Attr{}
	}
	return slog.String("detail", v.Detail)
}

// Sender delivers single events of one integration: a webhook. Send blocks until
// the receiver's timeout (at most settings.Settings.LongestCall) or until ctx ends; it sends
// nothing after it returns. attempt counts from 1 for each event. A Sender is safe
// for concurrent use.
type Sender interface {
	Send(ctx context.Context, e *event.Event, attempt int) Verdict
	Closer
}

// Closer gives connections back.
type Closer interface {
	// Close closes the connections that no call uses; those in use are closed after
	// their call. The sink can still be used.
	Close()
}

// Tester delivers one event as a test, in a way that tells it from others: a webhook call
// with the header sluice-test, or a file that it deletes again. It takes as long as a call
// may take, and makes one attempt.
type Tester interface {
	Test(ctx context.Context, e *event.Event) Verdict
	Closer
}

// Prober finds out whether files can be written, without writing one. A verdict that is not
// Delivered says why not. It takes at most ProbeTimeout.
type Prober interface {
	Probe(ctx context.Context) Verdict
	Closer
}

// ProbeTimeout is how long a Prober waits for a store.
const ProbeTimeout = 8 * time.Second

// Exporter delivers events of one integration as whole files: an S3 bucket.
type Exporter interface {
	// Export writes the bodies, one per line, to one new file. The file appears
	// whole or not at all. Bodies are pulled as they are written: memory does not
	// grow with the file. An empty sequence creates no file and is Delivered.
	//
	// The last request is the one that makes the file appear. After every body is
	// written and before that request is sent, Export calls confirm with what a
	// later attempt needs to resolve the file's state. It then repeats the call
	// until there is a response, at most ConfirmedTimeout apart, also from the
	// last call to the return. If confirm fails, Export returns Interrupted:
	// Unknown if the request was sent; otherwise the file is abandoned.
	Export(ctx context.Context, f File, confirm func(context.Context, handoff.Upload) error) Verdict
	Closer
}

// File is what an Exporter writes.
type File struct {
	Created time.Time // part of its name
	Bodies  iter.Seq[[]byte]
	// Pending, unless nil, is an earlier attempt whose outcome is unknown. If that
	// file is stored, the verdict is Delivered and no body is pulled. Otherwise
	// the bodies are written under its key; if they are no longer the same, confirm
	// fails. Verdicts stay Unknown until the file is proven stored.
	Pending *handoff.Upload
}

// PartTimeout is the longest time that an Exporter spends uploading between two
// bodies.
const PartTimeout = time.Minute

// ConfirmedTimeout is the longest time between two calls of confirm by an
// Exporter, or between the last one and its return.
const ConfirmedTimeout = 10 * time.Second

// UploadTimeout is how long an Exporter waits for the response to the request that
// completes a multipart upload, and how long a store may take to complete it if
// the response is lost: S3 documents several minutes. For a file of a single
// request the limit is PartTimeout.
const UploadTimeout = 10 * time.Minute

// Sinks opens the sink of an integration and decrypts its secrets. A sink is valid
// as long as the integration's generation does not change.
type Sinks interface {
	// Webhook is called for integrations with a Webhook.
	Webhook(ctx context.Context, in *integration.Integration) (Sender, error)
	// S3 is called for integrations with an S3.
	S3(ctx context.Context, in *integration.Integration) (Exporter, error)
}
