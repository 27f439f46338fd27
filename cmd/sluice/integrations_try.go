package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

// undeliveredError reports a test event that was not delivered.
type undeliveredError struct{ message string }

func (e *undeliveredError) Error() string { return e.message }

func integrationsTestCommand(a *api) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "test ID",
		Short: "Send a test event to the target of an integration",
		Long: `Send one event with the payload {"test": true} to the target now, whatever the status of
the integration, and say what became of it. A webhook gets it with the header
sluice-test: 1; in a bucket a file is written and deleted. It is neither retried nor
listed as rejected. If it is not delivered, the exit code is 1.`,
		Example: "  sluice integrations test my-webhook\n  sluice integrations test my-webhook --event-name order.created --json",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			result, err := c.Test(cmd.Context(), args[0], name)
			if err != nil {
				return err
			}
			return a.showTest(&result)
		},
	}
	cmd.Flags().StringVar(&name, "event-name", "", "name of the event (default sluice.test)")
	return cmd
}

// showTest prints the result, and returns an error if it is not a delivery.
func (a *api) showTest(result *client.TestResult) error {
	status, cause := "", ""
	if result.Status != nil {
		status = ", HTTP status " + strconv.Itoa(*result.Status)
	}
	if result.Cause != nil {
		cause = ": " + *result.Cause
	}
	said := result.Outcome
	if said == "failed" {
		said = "not delivered"
	}
	text := fmt.Sprintf("The test event was %s after %d ms%s%s", said, result.TookMs, status, cause)
	if a.asJSON {
		if err := printJSON(a.env.out, result); err != nil {
			return err
		}
	}
	switch {
	case result.Outcome != "delivered":
		return &undeliveredError{text}
	case a.asJSON:
		return nil
	default:
		return a.done("%s.", text)
	}
}
