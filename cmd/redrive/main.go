// Command redrive puts back on the stream what was set aside: batches that the
// function fanout gave up, and records that it could not read. It is for an
// operator, who has a profile of AWS; docs/operations.md says when to run it.
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
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluicehq/sluice/internal/backoff"
)

// The exit codes.
const (
	exitOK     = 0
	exitStayed = 1
	exitUsage  = 2
)

func main() { os.Exit(mainCode()) }

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return run(ctx, os.Args[1:], &env{in: os.Stdin, out: os.Stdout, err: os.Stderr, open: open, pause: backoff.Wait})
}

// env is what the command has of the world, so that a test can give it another.
type env struct {
	in       io.Reader
	out, err io.Writer
	open     func(context.Context) (clients, error)
	pause    func(context.Context, time.Duration) error
}

// clients are the services that are called.
type clients struct {
	queue   queue
	stream  stream
	objects objects
}

// tries is how often the SDK makes a call that is throttled: the function
// fanout reads from the same shards, and AWS lets them be read 5 times a second.
const tries = 10

// open finds region and credentials as every tool of AWS does: by environment
// variables, by a profile.
func open(ctx context.Context) (clients, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(tries))
	if err != nil {
		return clients{}, fmt.Errorf("find the credentials of AWS: %w", err)
	}
	return clientsOf(c), nil
}

func clientsOf(c aws.Config) clients {
	return clients{
		queue:  sqs.NewFromConfig(c),
		stream: kinesis.NewFromConfig(c),
		objects: s3.NewFromConfig(c, func(o *s3.Options) {
			o.UsePathStyle = c.BaseEndpoint != nil // an emulator
		}),
	}
}
