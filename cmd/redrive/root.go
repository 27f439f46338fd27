package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const longHelp = `Put back on the stream what was set aside.

With --queue, the batches that the function fanout gave up. A message of the
dead-letter queue says where in the stream the batch's records are; they are read
from there and put on the stream again, with new sequence numbers. That works as
long as the stream keeps them, 7 days from when they were published.

With --bucket, the records that could not be read, which are objects under
malformed/. Run it from a release that can read them; the others stay.

A message or an object is deleted only when all of it is back. So whatever
happens nothing is lost; a run that is interrupted, and records that lie between
those of a batch, lead to repeats, which receivers know by the webhook-id.

Region and credentials are found as by the AWS CLI (AWS_PROFILE, AWS_REGION, …).
They must allow:
  the queue   sqs:GetQueueAttributes, ReceiveMessage, DeleteMessage, ChangeMessageVisibility
  the stream  kinesis:GetShardIterator, GetRecords, PutRecords
  the bucket  s3:ListBucket; s3:GetObject and DeleteObject under malformed/
  the key     kms:Decrypt, GenerateDataKey

Exit codes:
  0  all is back (with --dry-run: all can be put back)
  1  something stayed, or the run failed
  2  the command line is wrong`

const examples = `  go run ./cmd/redrive --queue "$QUEUE_URL" --stream "$STREAM" --dry-run
  go run ./cmd/redrive --queue "$QUEUE_URL" --stream "$STREAM"
  go run ./cmd/redrive --bucket "$BUCKET" --stream "$STREAM" --yes`

// options are what the command line says.
type options struct {
	queue, stream, bucket string
	dryRun, yes           bool
}

// usageError is a command line that cannot be carried out.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message + "; see --help" }

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, e *env) int {
	var o options
	cmd := &cobra.Command{
		Use:           "redrive --stream NAME [--queue URL] [--bucket NAME]",
		Short:         "Put back on the stream what was set aside",
		Long:          longHelp,
		Example:       examples,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Sprintf("%q is an argument too many", args[0])}
			}
			return o.check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return redrive(cmd.Context(), e, o) },
	}
	cmd.SetArgs(args)
	cmd.SetIn(e.in)
	cmd.SetOut(e.out)
	cmd.SetErr(e.err)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	flags := cmd.Flags()
	flags.StringVar(&o.queue, "queue", "", "URL of the dead-letter queue, output DeadLetterQueueUrl of the stack")
	flags.StringVar(&o.stream, "stream", "", "name of the stream, output StreamName of the stack")
	flags.StringVar(&o.bucket, "bucket", "", "name of the bucket, output BucketName of the stack")
	flags.BoolVar(&o.dryRun, "dry-run", false, "read and say what would be put back; change nothing")
	flags.BoolVar(&o.yes, "yes", false, "do not ask")
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(e.err, "redrive:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitStayed
}

func (o *options) check() error {
	switch {
	case o.stream == "":
		return &usageError{"--stream is missing"}
	case o.queue == "" && o.bucket == "":
		return &usageError{"--queue or --bucket is missing"}
	case strings.Contains(o.stream, "/"):
		return &usageError{fmt.Sprintf("--stream is %q; it is the name of the stream, not its ARN", o.stream)}
	}
	return nil
}

// redrive does what the command line says. Its error says that something
// stayed, or why the run ended.
func redrive(ctx context.Context, e *env, o options) error {
	if err := confirm(e, o); err != nil {
		return err
	}
	c, err := e.open(ctx)
	if err != nil {
		return err
	}
	s := &source{client: c.stream, name: o.stream, pause: e.pause}
	d := &drain{client: c.stream, name: o.stream, pause: e.pause}
	t := &tally{out: e.out, dryRun: o.dryRun}
	var failed error
	if o.queue != "" {
		b := &batches{queue: c.queue, url: o.queue, source: s, drain: d, tally: t}
		failed = b.run(ctx)
	}
	if o.bucket != "" && ctx.Err() == nil {
		m := &malformed{objects: c.objects, bucket: o.bucket, drain: d, tally: t}
		failed = errors.Join(failed, m.run(ctx))
	}
	t.failed = failed != nil
	t.summary()
	switch {
	case failed != nil:
		return failed
	case t.stayed > 0:
		return fmt.Errorf("%d of %d stayed where they are; the lines above say why", t.stayed, t.stayed+t.back)
	}
	return nil
}

// confirm asks whether to go on.
func confirm(e *env, o options) error {
	if o.dryRun || o.yes {
		return nil
	}
	_, _ = fmt.Fprintf(e.out, "Put what was set aside back on the stream %s? Its integrations get it, some of it again. [y/N] ", o.stream)
	answer, _ := bufio.NewReader(e.in).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed; answer y, or pass --yes")
}
