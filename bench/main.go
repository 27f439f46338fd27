// Command bench measures a node, bin/sluice, against its performance targets and
// prints a report in Markdown. Where possible it measures ratios, side by side in
// one run, because absolute times are not reproducible on shared machines.
//
// The node, the receivers, the publisher, the plain client loop and the S3
// server are separate processes, so that CPU time and memory can be attributed
// to each. This program starts all of them on loopback and they exit with it. It
// needs /proc, and therefore Linux.
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
	tenants int // of the storm and the start
	started time.Time
	report  report

	saturated float64 // events/s to ten webhooks, 0 as long as it is not known
}

// section is one group of measurements.
type section struct {
	name string
	run  func(*bench, context.Context) error
	long bool // it runs only if -only names it
}

var sections = []section{
	{name: "cpu", run: (*bench).measureCPU},
	{name: "records", run: (*bench).measureRecords},
	{name: "latency", run: (*bench).measureLatency},
	{name: "slow", run: (*bench).measureSlow},
	{name: "catchup", run: (*bench).measureCatchUp},
	{name: "idle", run: (*bench).measureIdle},
	{name: "memory", run: (*bench).measureMemory},
	{name: "s3", run: (*bench).measureS3},
	{name: "publish", run: (*bench).measurePublish},
	{name: "front", run: (*bench).measureFront},
	{name: "storm", run: (*bench).measureStorm, long: true},
	{name: "hanging", run: (*bench).measureHanging, long: true},
	{name: "noisy", run: (*bench).measureNoisy, long: true},
	{name: "exporters", run: (*bench).measureExporters, long: true},
	{name: "rejecting", run: (*bench).measureRejecting, long: true},
	{name: "start", run: (*bench).measureStart, long: true},
}

func runBench(ctx context.Context, args []string) error {
	b := &bench{started: time.Now()}
	var names, usual []string
	for _, s := range sections {
		if names = append(names, s.name); !s.long {
			usual = append(usual, s.name)
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", strings.Join(usual, ","), "what to measure, separated by commas; also storm, hanging, noisy, exporters, rejecting, start")
	flags.BoolVar(&b.short, "short", false, "run shorter measurements; the figures are rough")
	flags.IntVar(&b.tenants, "tenants", 10_000, "tenants of the storm and the start, with 5 integrations each")
	flags.StringVar(&b.binary, "binary", "bin/sluice", "the node to measure")
	flags.StringVar(&b.profile, "profile", "", "directory for pprof profiles of the nodes, which then run in this program instead of -binary")
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

// say prints progress.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}

// lasting returns how long to measure: d, or less in a short run.
func (b *bench) lasting(d time.Duration) time.Duration {
	if b.short {
		return d / 3
	}
	return d
}

// sleep waits for d, or returns the context's error once that is done.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until waits for a condition, polling often enough for times of seconds.
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
		if err := sleep(ctx, interval); err != nil {
			return err
		}
	}
}
