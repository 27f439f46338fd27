// Command demo runs a tour of Sluice with the real binary, a webhook receiver and an
// S3 server on free loopback ports, and prints the result of each step. It exits
// with 1 if a step fails.
//
//	go run ./test/demo bin/sluice
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// demoTimeout limits the whole tour.
const demoTimeout = 90 * time.Second

func main() { os.Exit(mainCode()) }

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	binary := filepath.Join("bin", "sluice")
	if len(os.Args) > 1 {
		binary = os.Args[1]
	}
	started := time.Now()
	if err := play(ctx, binary); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: not as told:", err)
		return 1
	}
	_, _ = fmt.Fprintf(os.Stdout, "\nEverything was as told, in %.0f s.\n", time.Since(started).Seconds())
	return 0
}

// play runs the steps in order.
func play(ctx context.Context, binary string) error {
	s, err := newStage(ctx, binary)
	if err != nil {
		return err
	}
	defer s.clear()
	for _, step := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"Register a webhook and an S3 integration", s.register},
		{"Publish the sample events; the receiver rejects one and fails for a while", s.publish},
		{"Read the webhook's log", s.readLog},
		{"Stop the webhook, publish, start it: nothing is lost", s.stopAndStart},
		{"See how the webhook is doing, and pull its events from the log", s.look},
		{"Retry the rejected event", s.retryRejected},
		{"Skip an event that the receiver can never take, and that holds up the others", s.skip},
		{"Replay the day to a second webhook", s.replay},
		{"Send a test event to the webhook and to the bucket", s.test},
		{"List the files in the bucket", s.listFiles},
		{"Shut down gracefully", s.shutDown},
	} {
		s.say("\n== %s", step.title)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}
