// Command invoke runs one function on one sample input, in a local deployment, and
// shows its result, its log and its requests to AWS. `make invoke` runs it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/test/aws/golden"
	"github.com/sluicehq/sluice/test/aws/stack"
)

const usage = `Run the real function once on a sample input of events/, in a local deployment.

    make invoke FN=<function> CASE=<case>

Examples
    make invoke FN=fanout CASE=one-event         one event, one webhook
    make invoke FN=fanout CASE=malformed-record  an unreadable record
    make invoke FN=advance CASE=catch-up         a cursor reads the log
    make invoke FN=fanout                        list the cases of fanout
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Stdout, os.Args[1:])
	if err != nil && !errors.Is(err, errUsage) {
		_, _ = fmt.Fprintln(os.Stderr, "invoke:", err)
	}
	if err != nil {
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// errUsage means that the arguments were wrong and the usage was printed.
var errUsage = errors.New("usage")

func run(ctx context.Context, out io.Writer, args []string) error {
	if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "--help" || a == "help" }) {
		p := &printer{out: out}
		p.print("%s\n", usage)
		return list(p, "")
	}
	p := &printer{out: out}
	if len(args) != 2 {
		p.print("%s\n", usage)
		return errors.Join(errUsage, list(p, strings.Join(args, "")))
	}
	c, err := golden.Find(args[0], args[1])
	if err != nil {
		p.print("There is no case %q of %q.\n\n", args[1], args[0])
		return errors.Join(errUsage, list(p, args[0]))
	}
	return invoke(ctx, p, c)
}

// list prints the cases of a function, or all cases if it has none.
func list(p *printer, function string) error {
	functions, err := golden.Functions()
	if err != nil {
		return err
	}
	if slices.Contains(functions, function) {
		functions = []string{function}
	}
	for _, f := range functions {
		cases, err := golden.Cases(f)
		if err != nil {
			return err
		}
		p.print("Cases of %s\n", f)
		for _, c := range cases {
			p.print("    make invoke FN=%s CASE=%s\n", c.Function, c.Name)
		}
		p.print("\n")
	}
	return nil
}

func invoke(ctx context.Context, p *printer, c golden.Case) error {
	p.print("%s: starting a local deployment (this takes some seconds) …\n", c)
	return whileRunning(ctx, func(t *life) error {
		defer stack.RemoveBuilt()
		w := golden.New(t)
		ran, err := w.Run(ctx, c)
		if err != nil {
			return err
		}
		text, err := w.Text(c, ran.Outcome)
		if err != nil {
			return err
		}
		p.show(ran)
		return p.compare(c, text)
	})
}

// printer writes to a terminal and ignores errors.
type printer struct{ out io.Writer }

func (p *printer) print(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

func (p *printer) show(ran *golden.Ran) {
	r := ran.Result
	p.print("\nLog\n")
	for line := range bytes.Lines(bytes.TrimSpace(ran.Log)) {
		p.print("    %s", line)
	}
	p.print("\n\nRequests to AWS\n")
	names := make([]string, 0, len(ran.Outcome.Requests))
	for name := range ran.Outcome.Requests {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.print("    %3d  %s\n", ran.Outcome.Requests[name], name)
	}
	if len(names) == 0 {
		p.print("    none\n")
	}
	p.print("\nResult, after %d ms billed and %d ms of cold start", r.BilledMS, r.InitDuration.Milliseconds())
	if r.FunctionError != "" {
		p.print(": THE FUNCTION FAILED")
	}
	p.print("\n    %s\n", r.Payload)
}

// compare shows the outcome and whether it matches the golden file.
func (p *printer) compare(c golden.Case, outcome []byte) error {
	p.print("\nOutcome, in the form of golden files\n%s\n", outcome)
	want, err := c.Golden()
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.print("There is no golden file. If the outcome is right, write it:\n")
	case err != nil:
		return err
	case bytes.Equal(want, outcome):
		p.print("It matches the golden file. Next: try another case (make invoke FN=%s), or write your own:\n"+
			"events/README.md explains how; this case is in %s*.\n", c.Function, filepath.Join("events", c.Function, c.Name))
		return nil
	default:
		p.print("It does NOT match the golden file. Compare, and if the outcome is right, write it:\n")
	}
	p.print("    go test ./test/aws/golden -update && git diff events\n")
	return nil
}
