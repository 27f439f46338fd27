// Command bench measures a node, bin/sluice, against the figures that it has to
// reach, and prints a report in Markdown. Where it can it measures ratios, side
// by side in one run, because absolute times do not repeat on shared machines.
//
// The node, the receivers, the publisher, the plain client loop and the S3
// server are processes of their own, so that the CPU time and the memory of
// each can be told apart. All of them are on loopback, are started by this
// program, and end with it. It needs Linux, for /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(mainCode()) }

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	run := func() error { return runBench(ctx, os.Args[1:]) }
	if len(os.Args) == 3 {
		if part := parts[os.Args[1]]; part != nil {
			run = func() error { return runPart(ctx, part, os.Args[2]) }
		}
	}
	err := run()
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

// bench is one run.
type bench struct {
	binary  string
	profile string // "": none
	short   bool
	started time.Time
	report  report

	saturated float64 // events/s to ten webhooks, 0 as long as it is not known
}

// section is one of the things that are measured.
type section struct {
	name string
	run  func(*bench, context.Context) error
}

var sections = []section{
	{"cpu", (*bench).measureCPU},
	{"latency", (*bench).measureLatency},
	{"slow", (*bench).measureSlow},
	{"catchup", (*bench).measureCatchUp},
	{"idle", (*bench).measureIdle},
	{"memory", (*bench).measureMemory},
	{"s3", (*bench).measureS3},
	{"publish", (*bench).measurePublish},
}

func runBench(ctx context.Context, args []string) error {
	b := &bench{started: time.Now()}
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", strings.Join(names, ","), "what to measure, separated by commas")
	flags.BoolVar(&b.short, "short", false, "measure for a shorter time; the figures are rough")
	flags.StringVar(&b.binary, "binary", "bin/sluice", "the node to measure")
	flags.StringVar(&b.profile, "profile", "", "directory for pprof files of the nodes, which then run in this program in place of -binary")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted := strings.Split(*only, ",")
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-only has %q; choose from %s", name, strings.Join(names, ", "))
		}
	}
	if _, err := os.Stat(b.binary); err != nil {
		return fmt.Errorf("%w; build it with: make build", err)
	}
	for _, s := range sections {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		if err := s.run(b, ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return b.report.write(os.Stdout, b.short, time.Since(b.started))
}

// say reports what is going on.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}

// lasting is a time of measuring, less of it in a short run.
func (b *bench) lasting(d time.Duration) time.Duration {
	if b.short {
		return d / 3
	}
	return d
}

// pause waits, or returns the error of a context that is done.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until waits for a condition, looking often enough for times of seconds.
func until(ctx context.Context, atMost time.Duration, what string, holds func() (bool, error)) error {
	return untilEvery(ctx, 5*time.Millisecond, atMost, what, holds)
}

func untilEvery(ctx context.Context, interval, atMost time.Duration, what string, holds func() (bool, error)) error {
	deadline := time.Now().Add(atMost)
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v until %s", atMost, what)
		}
		if err := pause(ctx, interval); err != nil {
			return err
		}
	}
}
