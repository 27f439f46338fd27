// Command sluice is Sluice as one binary: the service and the command-line client
// of its API.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
)

func main() { os.Exit(mainCode()) }

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal shuts down gracefully; a second one kills the process.
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], &env{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		getenv: os.Getenv, sleep: sleep, now: time.Now, open: opener(os.Stdout),
	})
}

var errInterrupted = errors.New("interrupted")

// sleep waits for d, or returns errInterrupted if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if backoff.Wait(ctx, d) != nil {
		return errInterrupted
	}
	return nil
}
