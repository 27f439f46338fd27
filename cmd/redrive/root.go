package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const longHelp = `Put batches that were given up, and quarantined records, back on the stream.

The bucket has both, with the records themselves:
  aws/lambda/  batches that the function fanout could not finish within hours, and
               that Lambda gave up on. Run it when the cause is repaired.
  malformed/   records that could not be read. Run it from a release that can read
               them; it keeps the others.

An object is deleted only after all of its records are back on the stream, with new
sequence numbers, so nothing is lost. An interrupted run causes repeats, which
receivers recognize by webhook-id.

The region and credentials are found as by the AWS CLI (AWS_PROFILE, AWS_REGION,
…). They must allow:
  the stream  kinesis:PutRecords
  the bucket  s3:ListBucket; s3:GetObject and DeleteObject under both prefixes
  the key     kms:Decrypt, GenerateDataKey

Exit codes:
  0  everything was put back (with --dry-run: everything can be)
  1  something was kept, or the run failed
  2  the command line is invalid`

const examples = `  go run ./cmd/redrive --bucket "$BUCKET" --stream "$STREAM" --dry-run
  go run ./cmd/redrive --bucket "$BUCKET" --stream "$STREAM" --yes`

// options are the parsed flags.
type options struct {
	stream, bucket string
	dryRun, yes    bool
}

// usageError reports an invalid command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message + "; see --help" }

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, e *env) int {
	var o options
	cmd := &cobra.Command{
		Use:           "redrive --stream NAME --bucket NAME",
		Short:         "Put batches that were given up, and quarantined records, back on the stream",
		Long:          longHelp,
		Example:       examples,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Sprintf("unexpected argument %q", args[0])}
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
	flags.StringVar(&o.stream, "stream", "", "name of the stream (stack output StreamName)")
	flags.StringVar(&o.bucket, "bucket", "", "name of the bucket (stack output BucketName)")
	flags.BoolVar(&o.dryRun, "dry-run", false, "report what would be put back; change nothing")
	flags.BoolVar(&o.yes, "yes", false, "do not ask for confirmation")
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(e.err, "redrive:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitKept
}

func (o *options) check() error {
	switch {
	case o.stream == "":
		return &usageError{"--stream is required"}
	case o.bucket == "":
		return &usageError{"--bucket is required"}
	case strings.Contains(o.stream, "/"):
		return &usageError{fmt.Sprintf("--stream is %q; give the name of the stream, not its ARN", o.stream)}
	}
	return nil
}

// redrive runs the command. It returns an error if something was kept, or if the
// run failed.
func redrive(ctx context.Context, e *env, o options) error {
	if err := confirm(e, o); err != nil {
		return err
	}
	c, err := e.open(ctx)
	if err != nil {
		return err
	}
	t := &tally{out: e.out, dryRun: o.dryRun}
	b := &bucket{objects: c.objects, name: o.bucket, drain: &drain{client: c.stream, name: o.stream, sleep: e.sleep}, tally: t}
	failed := b.run(ctx)
	t.failed = failed != nil
	t.summary()
	switch {
	case failed != nil:
		return failed
	case t.kept > 0:
		return fmt.Errorf("%d of %d were kept; the lines above say why", t.kept, t.kept+t.back)
	}
	return nil
}

// confirm asks the operator whether to proceed.
func confirm(e *env, o options) error {
	if o.dryRun || o.yes {
		return nil
	}
	_, _ = fmt.Fprintf(e.out, "Put the records back on the stream %s? Integrations will receive them, some for the second time. [y/N] ", o.stream)
	answer, _ := bufio.NewReader(e.in).ReadString('\n') // no answer means no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed; answer y or pass --yes")
}
