package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/usertext"
)

func integrationsCommand(e *env) *cobra.Command {
	a := &api{env: e}
	cmd := &cobra.Command{
		Use:     "integrations",
		Aliases: []string{"integration"},
		Short:   "Register, start, stop, watch and test integrations",
		Example: `  sluice integrations list
  sluice integrations create --id my-webhook --type permanent --callback-url https://example.com/hook
  sluice integrations watch
  sluice integrations stop my-webhook --wait`,
		Args: noSuchCommand,
		RunE: subcommandMissing,
	}
	a.flags(cmd)
	cmd.AddCommand(
		integrationsListCommand(a), integrationsGetCommand(a),
		integrationsCreateCommand(a), integrationsUpdateCommand(a), integrationsDeleteCommand(a),
		integrationsStartCommand(a), integrationsStopCommand(a), integrationsLogsCommand(a),
		integrationsWatchCommand(a), integrationsEventsCommand(a), integrationsDeliveriesCommand(a), integrationsTestCommand(a),
		integrationsSkipCommand(a), integrationsEstimateCommand(a),
	)
	a.completeArgs(cmd.Commands())
	return cmd
}

// integrationRows are the fields of an integration, for a table.
func integrationRows(in *client.Integration) [][]string {
	rows := [][]string{{"id", in.ID}, {"type", in.Type}, {"status", in.Status}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("starts at", in.StartsAt)
	add("ends at", in.EndsAt)
	if c := in.Callback; c != nil {
		add("callback URL", c.URL)
		add("API key", c.APIKey)
		add("signing secret", c.SigningSecret)
	}
	if s := in.S3; s != nil {
		add("bucket", s.Bucket)
		add("key prefix", s.KeyPrefix)
		add("region", s.Region)
		add("endpoint", s.Endpoint)
		add("access key id", s.AccessKeyID)
		add("secret access key", s.SecretAccessKey)
	}
	if f := in.Filter; f != nil {
		add("event filter", strings.Join(f.Events, ", "))
		add("entity filter", strings.Join(f.Entities, ", "))
	}
	return rows
}

// target returns where an integration's events go, for one cell of a table.
func target(in *client.Integration) string {
	switch {
	case in.Callback != nil:
		return in.Callback.URL
	case in.S3 != nil:
		return strings.TrimRight("s3://"+in.S3.Bucket+"/"+in.S3.KeyPrefix, "/")
	}
	return ""
}

// shown prints the integration as JSON, otherwise the formatted sentence.
func (a *api) shown(in *client.Integration, format string, args ...any) error {
	if a.asJSON {
		return printJSON(a.env.out, in)
	}
	return a.say(format, args...)
}

func (a *api) say(format string, args ...any) error {
	_, err := fmt.Fprintln(a.env.out, usertext.Escape(fmt.Sprintf(format, args...)))
	return err
}
