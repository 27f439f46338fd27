// Command soak runs the real binary for an hour under load, while integrations are
// registered, stopped, started, replayed and deleted, receivers fail, the node is killed
// and its disk is full. In the end the books must balance: for every integration, the
// events published are those acknowledged, rejected, skipped and filtered.
//
//	go run ./test/soak -duration 1h
//
// It exits with 1 if they do not, and keeps the data directory and the node's log.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() { os.Exit(mainCode()) }

func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	s := &soak{}
	flags.DurationVar(&s.duration, "duration", time.Hour, "how long to run, before the books are closed")
	flags.StringVar(&s.binary, "binary", "bin/sluice", "the node to run")
	flags.IntVar(&s.rate, "rate", 100, "events a second, in all")
	flags.StringVar(&s.disk, "disk", "1g", "size of the disk, in memory, that holds the data and is filled")
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if !ownDisk() {
		return runWithDisk(ctx)
	}
	if err := s.run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "\nsoak:", err)
		return 1
	}
	return 0
}

// run runs the soak and removes its files, unless it failed.
func (s *soak) run(ctx context.Context) (err error) {
	if _, err := os.Stat(s.binary); err != nil {
		return fmt.Errorf("%w; build it with: make build", err)
	}
	if s.dir, err = os.MkdirTemp("", "sluice-soak-"); err != nil {
		return err
	}
	small := filepath.Join(s.dir, "disk")
	if err := errors.Join(os.Mkdir(small, 0o700), mountDisk(small, s.disk)); err != nil {
		say("no small disk can be mounted (%v): the disk is never full", err)
	} else {
		s.filler = filepath.Join(small, "filler")
	}
	err = s.play(ctx, filepath.Join(small, "data"))
	if err == nil {
		return errors.Join(unmountDisk(small), os.RemoveAll(s.dir))
	}
	kept := filepath.Join(s.dir, "kept")
	if copied := os.CopyFS(kept, os.DirFS(filepath.Join(small, "data"))); copied != nil {
		err = errors.Join(err, copied)
	}
	_ = unmountDisk(small)
	return fmt.Errorf("%w\n\nThe data directory is %s, the node's log %s.\n"+
		"Look for the integration and the event in both: sluice serve --dev --data %s starts the node on a copy;\n"+
		"an event's number ends its id", err, kept, s.logPath(), kept)
}

func (s *soak) logPath() string { return filepath.Join(s.dir, "log") }

func say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
