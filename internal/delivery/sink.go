package delivery

import (
	"context"
	"iter"
	"time"

	"github.com/sluicehq/sluice/internal/event"
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
	// Export writes the bodies, one a line, to one new file whose name has the
	// time created. The file appears whole, with the return of Delivered, or
	// not at all. When every body is written, and before the file can be seen,
	// confirm is called: if it fails, the file is given up and the verdict is
	// Interrupted. From then on Export takes at most ConfirmedTimeout. Bodies
	// are pulled as they are written: memory does not grow with the file. An
	// empty sequence makes no file and is Delivered.
	Export(ctx context.Context, created time.Time, bodies iter.Seq[[]byte], confirm func(context.Context) error) Verdict
}

// PartTimeout is the longest time for which an Exporter takes no body, while it
// uploads what it has.
const PartTimeout = time.Minute

// ConfirmedTimeout is the longest time between an Exporter's call of confirm
// and the moment at which its file can last appear.
const ConfirmedTimeout = 10 * time.Second

// Sinks opens the sink of an integration, decrypting its secrets. What it
// returns is used for as long as the integration has the same generation.
type Sinks interface {
	// Webhook is called for integrations with a Webhook.
	Webhook(ctx context.Context, in *integration.Integration) (Sender, error)
	// S3 is called for integrations with an S3.
	S3(ctx context.Context, in *integration.Integration) (Exporter, error)
}
