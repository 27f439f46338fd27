package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/usertext"
)

const watchEvery = time.Second

// redraw moves a terminal's cursor to its top left corner and erases what is there.
const redraw = "\x1b[H\x1b[2J"

func integrationsWatchCommand(a *api) *cobra.Command {
	return &cobra.Command{
		Use:   "watch [ID]",
		Short: "Watch how all integrations, or one, are doing",
		Long: `Show how all integrations are doing, or one of them, and redraw it each second until
Ctrl-C. While the service cannot be reached it says so and goes on. With --json it prints
the API's response on a line each second.`,
		Example: "  sluice integrations watch\n  sluice integrations watch my-webhook",
		Args:    optionalArg("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			look := func(ctx context.Context) (any, [][]string, error) { return all(ctx, c) }
			if len(args) > 0 {
				look = func(ctx context.Context) (any, [][]string, error) { return one(ctx, c, args[0]) }
			}
			return a.watch(cmd.Context(), look)
		},
	}
}

// all and one return what is watched, for --json and as a table.
func all(ctx context.Context, c *client.Client) (any, [][]string, error) {
	list, err := c.IntegrationsWithHealth(ctx)
	return map[string][]client.Integration{"integrations": list}, healthTable(list), err
}

func one(ctx context.Context, c *client.Client, id string) (any, [][]string, error) {
	h, err := c.Health(ctx, id)
	return h, append([][]string{{"id", id}}, healthRows(&h)...), err
}

// watch draws what look returns until the context ends, which is no error.
func (a *api) watch(ctx context.Context, look func(context.Context) (any, [][]string, error)) error {
	for {
		document, rows, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !passing(err):
			return err
		case err != nil:
			_, _ = fmt.Fprintln(a.env.err, "sluice: "+usertext.Escape(err.Error()))
		default:
			if err := a.draw(document, rows); err != nil {
				return err
			}
		}
		if a.env.sleep(ctx, watchEvery) != nil {
			return nil
		}
	}
}

// passing reports whether a call that failed may succeed later.
func passing(err error) bool {
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return true
	}
	e, ok := errors.AsType[*client.Error](err)
	return ok && exitCode(e) == exitUnavailable
}

// draw prints one look in a single write, so that a terminal does not flicker.
func (a *api) draw(document any, rows [][]string) error {
	if a.asJSON {
		return json.NewEncoder(lineWriter{a.env.out}).Encode(document)
	}
	var page bytes.Buffer
	if isTerminal(a.env.out) {
		page.WriteString(redraw)
	}
	page.WriteString(a.env.now().UTC().Format("2006-01-02T15:04:05Z") + "\n")
	if err := printTable(&page, rows); err != nil {
		return err
	}
	if !isTerminal(a.env.out) {
		page.WriteString("\n")
	}
	_, err := io.Copy(a.env.out, &page)
	return err
}
