package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/auth"
)

func tokenCommand(e *env) *cobra.Command {
	var (
		wanted signing
		long   bool
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create an access token with a node's own key",
		Long: `Sign an access token with the key in a node's data directory and print it. The node
need not be running; the key is generated on first use. Anyone who can read the
directory can create tokens for every tenant.

A single token cannot be revoked: it is valid until it expires, unless the key is
replaced, which revokes all tokens. So give it only the scopes that it needs, and keep
it short.

With --any-tenant it is a platform token: it has the scope tenants:any too and acts for
every tenant, in each call for the one that the header Sluice-Tenant names, or when it
publishes for the ones that the events name.`,
		Example: `  export SLUICE_TOKEN=$(sluice token --data ./.sluice --tenant acme)
  sluice token --data ./.sluice --tenant acme --scope events:publish --ttl 15m
  sluice token --data ./.sluice --tenant acme --scope events:publish --ttl 720h --long
  sluice token --data ./.sluice --any-tenant --scope events:publish`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wanted.ttl > maxTTL && !long {
				return usageErrorf(cmd, "--ttl is %v; without --long it must be at most %v, as a single token cannot be revoked", wanted.ttl, maxTTL)
			}
			token, err := wanted.sign(cmd, e)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("scope") {
				_, _ = fmt.Fprintf(e.err, "this token has all scopes (%s); use --scope to give it fewer\n", strings.Join(wanted.scopes, ", "))
			}
			_, err = fmt.Fprintln(e.out, token)
			return err
		},
	}
	flags := cmd.Flags()
	wanted.flags(cmd)
	flags.StringVar(&wanted.tenant, "tenant", "", "tenant of the token")
	flags.BoolVar(&wanted.platform, "any-tenant", false, "make a platform token, which acts for every tenant, instead of a token of one")
	flags.StringSliceVar(&wanted.scopes, "scope", auth.Scopes(), "scopes of the token; without it, all of them")
	completeFlag(cmd, "scope", append(auth.Scopes(), auth.TenantsAny)...)
	flags.DurationVar(&wanted.ttl, "ttl", maxTTL, "how long the token is valid")
	flags.BoolVar(&long, "long", false, "allow a --ttl of more than "+maxTTL.String())
	return cmd
}
