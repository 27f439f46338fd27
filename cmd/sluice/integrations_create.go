package main

import "github.com/spf13/cobra"

// registrationFlags are the flags of a registration.
func registrationFlags(a *api) *bodyFlags {
	return &bodyFlags{env: a.env, all: append([]bodyField{
		{flag: "id", path: "id", doc: "id: 1 to 50 characters of a-z, 0-9 and -"},
		{flag: "type", path: "integration_type", doc: "permanent or temporary", values: []string{"permanent", "temporary"}},
		{flag: "starts-at", path: "starts_at", doc: "deliver events published from this time on (RFC 3339)"},
		{flag: "ends-at", path: "ends_at", doc: "end of a temporary integration (RFC 3339)"},
	}, targetFields()...)}
}

func integrationsCreateCommand(a *api) *cobra.Command {
	fields := registrationFlags(a)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Register an integration; it starts at once",
		Long: `Register an integration from flags, or from a JSON body with --file. It starts at
once. A permanent integration runs until it is stopped or deleted; a temporary one
is a replay of the events published from --starts-at to --ends-at, and "integrations
estimate" says what it would replay.

` + secretFlagsHelp,
		Example: `  sluice integrations create --id my-webhook --type permanent \
    --callback-url https://example.com/hook --api-key env:HOOK_KEY --entity-filter order,return
  sluice integrations create --id my-files --type permanent --s3-bucket my-bucket --s3-region eu-central-1 \
    --s3-access-key-id AKIAEXAMPLE --s3-secret-access-key @secret.txt
  sluice integrations create --id replay-1 --type temporary --callback-url https://example.com/hook \
    --starts-at 2026-01-17T00:00:00Z --ends-at 2026-01-18T00:00:00Z
  sluice integrations create --file body.json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := fields.body(cmd)
			if err != nil {
				return err
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			in, err := c.Create(cmd.Context(), body)
			if err != nil {
				return err
			}
			return a.shown(&in, "Registered %s; it is %s. See its log with: sluice integrations logs %s", in.ID, in.Status, in.ID)
		},
	}
	fields.add(cmd)
	return cmd
}
