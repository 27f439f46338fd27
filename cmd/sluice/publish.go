package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

type publishFlags struct {
	api

	file     string
	fromLine int
}

func publishCommand(e *env) *cobra.Command {
	f := &publishFlags{api: api{env: e}}
	cmd := &cobra.Command{
		Use:   "publish [FILE]",
		Short: "Publish events from a file or from standard input",
		Long: `Publish events: one JSON object per line, a single object, or a JSON array of
objects. An event is {"name": "order.created", "payload": {…}}, optionally with an
"id" (a UUID); if it has none, this command generates one. With a platform token
(sluice token --any-tenant) each event has a "tenant" too, or --tenant names that of
those that have none; one call publishes events of many tenants.

A long input is published in calls of up to 500 events. A call that fails
temporarily is retried a few times, with the same Idempotency-Key: what was published
although its response was lost is not published twice. If it keeps failing, everything before it is
published, and a message says how to resume. With --json the error has "publish":
{"published", "unsure" (whether some of the rest may be published too), "resume"}.`,
		Example: `  sluice publish events.ndjson
  sluice publish --file events.ndjson --from-line 1501
  echo '{"name":"order.created","payload":{"order_id":"A-1001"}}' | sluice publish
  echo '{"tenant":"globex","name":"order.created","payload":{}}' | sluice publish --token @platform.token`,
		Args: f.args,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.flags(cmd)
	cmd.Flags().StringVarP(&f.file, "file", "f", "-", "file with events; - is standard input")
	cmd.Flags().IntVar(&f.fromLine, "from-line", 1, "start at this line or, in a JSON array, at this event, counted from 1")
	cmd.PersistentFlags().Lookup("json").Usage = `print {"id": …} for each published event, one per line`
	return cmd
}

// args accepts the file as an argument as well.
func (f *publishFlags) args(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if err := exactArgs("FILE")(cmd, args); err != nil {
		return err
	}
	if cmd.Flags().Changed("file") {
		return usageErrorf(cmd, "both --file and %q name a file; omit one", args[0])
	}
	f.file = args[0]
	return nil
}

func (f *publishFlags) run(cmd *cobra.Command) error {
	if f.fromLine < 1 {
		return usageErrorf(cmd, "--from-line is %d; it must be at least 1", f.fromLine)
	}
	api, err := f.client(cmd)
	if err != nil {
		return err
	}
	input, err := f.open(cmd.Context())
	if err != nil {
		return err
	}
	defer func() { _ = input.Close() }()

	p := newProgress(f.env, f.asJSON)
	upload := &client.Upload{Client: api, Published: p.published, Waiting: p.waiting, Sleep: f.env.sleep}
	err = upload.Run(cmd.Context(), client.NewReader(input, f.fromLine))
	p.clear()
	if err != nil {
		return f.stopped(cmd, err, p.events)
	}
	if p.events == 0 {
		return f.nothing()
	}
	return p.finish()
}

// open returns the input. A goroutine reads standard input, so that an interrupt
// ends a blocked read.
func (f *publishFlags) open(ctx context.Context) (io.ReadCloser, error) {
	if f.file != "-" {
		return openInput(f.file)
	}
	if isTerminal(f.env.in) {
		_, _ = fmt.Fprintln(f.env.err, "Reading events from the terminal; end with Ctrl-D.")
	}
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { _ = w.CloseWithError(errInterrupted) })
	go func() {
		_, err := io.Copy(w, f.env.in)
		_ = w.CloseWithError(err)
	}()
	return r, nil
}

// openInput opens a file that the command line names.
func openInput(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the input: %w; check the path", err)
	}
	return f, nil
}

func (f *publishFlags) nothing() error {
	message := "there are no events in " + f.inputName()
	if f.fromLine > 1 {
		message += fmt.Sprintf(" from line %d on", f.fromLine)
	}
	return &invalidError{message}
}

func (f *publishFlags) inputName() string {
	if f.file == "-" {
		return "the input"
	}
	return f.file
}
