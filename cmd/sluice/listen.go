package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/listener"
	"github.com/sluicehq/sluice/internal/usertext"
)

type listenFlags struct {
	env      *env
	port     int
	delay    time.Duration
	statuses []int
	reject   []string
	secret   string
	asJSON   bool
}

func listenCommand(e *env) *cobra.Command {
	f := &listenFlags{env: e}
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Run a local webhook receiver that prints what arrives",
		Long: `Run a webhook receiver on 127.0.0.1 and print each call on a line: time, response
status, path, event name, webhook-id, attempt and, with --signing-secret, whether
the signature is valid. It can respond slowly or with failures, to show how the service
handles them. Stop it with Ctrl-C.`,
		Example: `  sluice listen
  sluice listen --port 9001 --status 503,503,200
  sluice listen --reject order.created --delay 2s
  sluice listen --signing-secret env:WEBHOOK_SECRET --json > received.ndjson`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.port, "port", 9000, "port on 127.0.0.1; 0 picks a free one")
	flags.DurationVar(&f.delay, "delay", 0, "wait this long before each response")
	flags.IntSliceVar(&f.statuses, "status", nil, "response status; of a list, each is used once and the last one from then on (default 200)")
	flags.StringSliceVar(&f.reject, "reject", nil, "event names to reject with a 400")
	flags.StringVar(&f.secret, "signing-secret", "", "verify signatures with this secret: whsec_…, @FILE or env:NAME")
	flags.BoolVar(&f.asJSON, "json", false, "print only the bodies, one per line")
	return cmd
}

func (f *listenFlags) run(cmd *cobra.Command) error {
	secret, err := f.env.secret(f.secret)
	if err != nil {
		return usageErrorf(cmd, "--signing-secret: %s", err)
	}
	handler, err := listener.New(listener.Options{
		Delay: f.delay, Statuses: f.statuses, Reject: f.reject,
		SigningSecret: secret, Received: f.print, Now: f.env.now,
	})
	if err != nil {
		return usageErrorf(cmd, "--%s", err)
	}
	if f.port < 0 || f.port > 65535 {
		return usageErrorf(cmd, "--port is %d; it must be from 0 to 65535", f.port)
	}
	ln, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.port)))
	if err != nil {
		return fmt.Errorf("%w; choose another port with --port", err)
	}
	url := "http://" + ln.Addr().String() + "/"
	_, _ = fmt.Fprintf(f.env.err, "Listening on %s; stop with Ctrl-C. To deliver events here:\n  sluice integrations create --id my-webhook --type permanent --callback-url %s%s\n", url, url, f.secretForCreate())
	if err := serveUntilDone(cmd.Context(), ln, handler); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(f.env.err, "\n%s\n", handler.Summary())
	return nil
}

// secretForCreate returns the flag that registers the secret. It leaves out a
// secret that was given in clear.
func (f *listenFlags) secretForCreate() string {
	switch {
	case f.secret == "":
		return ""
	case strings.HasPrefix(f.secret, "env:"), strings.HasPrefix(f.secret, "@"):
		return " --signing-secret " + usertext.ShellWord(f.secret)
	}
	return " --signing-secret whsec_…"
}

// serveUntilDone serves until ctx is done, then gives calls in flight a second
// to end.
func serveUntilDone(ctx context.Context, ln net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	graceCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := server.Shutdown(graceCtx); err != nil {
		_ = server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// print prints one call. The handler calls it sequentially.
func (f *listenFlags) print(d listener.Delivery) {
	if f.asJSON {
		var line bytes.Buffer
		if json.Compact(&line, d.Body) != nil {
			_, _ = fmt.Fprintln(f.env.err, "sluice: skipped a call whose body is not JSON")
			return
		}
		line.WriteByte('\n')
		_, _ = lineWriter{f.env.out}.Write(line.Bytes())
		return
	}
	line := []string{
		d.ReceivedAt.Format("15:04:05.000"), strconv.Itoa(d.Status),
		d.Path, d.Name, d.ID, "attempt " + strconv.Itoa(d.Attempt),
	}
	if d.Signature != listener.Unchecked {
		line = append(line, "signature "+string(d.Signature))
	}
	_, _ = fmt.Fprintln(f.env.out, usertext.Escape(strings.Join(line, "  ")))
}
