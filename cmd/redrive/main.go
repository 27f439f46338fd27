// Command redrive puts records back on the stream: those of batches that Lambda gave up
// on, as the function fanout failed with them for hours, and quarantined records, which
// it could not read. It is for an operator with AWS credentials; docs/operations.md says
// when to run it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/backoff"
)

// The exit codes.
const (
	exitOK    = 0
	exitKept  = 1
	exitUsage = 2
)

func main() { os.Exit(mainCode()) }

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return run(ctx, os.Args[1:], &env{in: os.Stdin, out: os.Stdout, err: os.Stderr, open: open, sleep: backoff.Wait})
}

// env is everything the command takes from its environment, so that a test can
// replace it.
type env struct {
	in       io.Reader
	out, err io.Writer
	open     func(context.Context) (clients, error)
	sleep    func(context.Context, time.Duration) error
}

// clients are the AWS services that the command calls.
type clients struct {
	stream  writer
	objects objects
}

// tries is how many attempts are made at a call that is throttled or has no response.
const tries = 10

// open finds the region and credentials as the AWS CLI does: in environment
// variables or a profile.
func open(ctx context.Context) (clients, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(tries))
	if err != nil {
		return clients{}, fmt.Errorf("find AWS credentials: %w", err)
	}
	return clientsOf(c), nil
}

func clientsOf(c aws.Config) clients {
	return clients{
		stream: kinesis.NewFromConfig(c),
		objects: s3.NewFromConfig(c, func(o *s3.Options) {
			o.UsePathStyle = c.BaseEndpoint != nil // an emulator
		}),
	}
}
