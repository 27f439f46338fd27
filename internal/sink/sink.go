// Package sink is the port of where events go: a Sender of single events, as a
// webhook, or an Exporter of whole files, as an S3 bucket. Its adapters are
// below it; package catalog lists them.
package sink

import (
	"context"
	"iter"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// Outcome is the kind of a Verdict. The zero value is none of them.
type Outcome int

// The outcomes of an attempt.
const (
	Delivered   Outcome = iota + 1 // the receiver has it
	Rejected                       // the receiver will never take this event
	Retry                          // the receiver failed: wait and try again
	Interrupted                    // we gave up ourselves (shutdown, stop, leave): no attempt is charged
)

// String returns the outcome as a word for logs and metrics.
func (o Outcome) String() string {
	return [...]string{"unknown", "delivered", "rejected", "retry", "interrupted"}[o]
}

// Verdict is what a sink says of one attempt.
type Verdict struct {
	Outcome Outcome
	// Reason is a sentence for the integration's log, for Rejected and Retry.
	// It names the target and the cause and never holds a secret.
	Reason string
	// RetryAfter is how long the receiver asked to be left alone, 0 if it did
	// not. At most an hour.
	RetryAfter time.Duration
	// Status is the receiver's HTTP status, 0 if it gave none.
	Status int
	// Unknown says of a file's Retry or Interrupted that it may be stored all
	// the same, now or later: its last request was sent and has no answer.
	Unknown bool
}

// Sender delivers single events of one integration: a webhook. Send blocks at
// most for the receiver's timeout (SLUICE_WEBHOOK_TIMEOUT) or until ctx is
// done, after which nothing more is sent. attempt counts from 1 for each
// event. It is safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, e *event.Event, attempt int) Verdict
}

// Exporter delivers events of one integration as whole files: an S3 bucket.
type Exporter interface {
	// Export writes the bodies, one a line, to one new file. The file appears
	// whole or not at all. Bodies are pulled as they are written: memory does
	// not grow with the file. An empty sequence makes no file and is Delivered.
	//
	// When every body is written, and before the last request is sent, without
	// which there is no file, confirm is called with what it takes to settle the
	// file later; from then on again and again until there is an answer, with at
	// most ConfirmedTimeout from one call to the next or to the return. Where it
	// fails Export returns, Interrupted: Unknown if the request was sent, else
	// the file is given up.
	Export(ctx context.Context, f File, confirm func(context.Context, handoff.Upload) error) Verdict
}

// File is what an Exporter writes.
type File struct {
	Created time.Time // is part of its name
	Bodies  iter.Seq[[]byte]
	// Again, unless nil, is an earlier attempt whose outcome is unknown. If the
	// file turns out to be stored the verdict is Delivered and no body is
	// pulled. Else the bodies, which are the same, are written under its key.
	// Until there is proof, verdicts stay Unknown.
	Again *handoff.Upload
}

// PartTimeout is the longest time for which an Exporter takes no body, while it
// uploads what it has.
const PartTimeout = time.Minute

// ConfirmedTimeout is the longest time between two calls of confirm by an
// Exporter, or between the last one and its return.
const ConfirmedTimeout = 10 * time.Second

// UploadTimeout is how long an Exporter waits for the answer to the request that
// puts a file's parts together, and how long a store may take to carry it out
// when the answer is lost: S3 documents several minutes. For a file of a single
// request it is PartTimeout.
const UploadTimeout = 10 * time.Minute

// Sinks opens the sink of an integration, decrypting its secrets. What it
// returns is used for as long as the integration has the same generation.
type Sinks interface {
	// Webhook is called for integrations with a Webhook.
	Webhook(ctx context.Context, in *integration.Integration) (Sender, error)
	// S3 is called for integrations with an S3.
	S3(ctx context.Context, in *integration.Integration) (Exporter, error)
}
