package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/private"
)

// maxTTL is how long a token is valid, unless somebody asks for a longer one.
const maxTTL = 24 * time.Hour

func tokenCommand(e *env) *cobra.Command {
	var (
		data     string
		tenant   string
		scopes   []string
		ttl      time.Duration
		long     bool
		platform bool
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
			switch {
			case platform && cmd.Flags().Changed("tenant"):
				return usageErrorf(cmd, "both --tenant and --any-tenant are given; omit one")
			case !platform && tenant == "":
				return usageErrorf(cmd, "--tenant is missing; for a platform token, which acts for every tenant, use --any-tenant")
			case platform && !slices.Contains(scopes, auth.TenantsAny):
				scopes = append(scopes, auth.TenantsAny)
			}
			if ttl > maxTTL && !long {
				return usageErrorf(cmd, "--ttl is %v; without --long it must be at most %v, as a single token cannot be revoked", ttl, maxTTL)
			}
			data = firstOf(data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data)
			if err := private.Dir("the data directory", data); err != nil { // others could replace the key
				return err
			}
			path := filepath.Join(data, auth.OwnKeyName)
			_, statErr := os.Stat(path)
			key, err := auth.OpenOwnKey(path)
			if err != nil {
				return err
			}
			if errors.Is(statErr, fs.ErrNotExist) {
				_, _ = fmt.Fprintf(e.err, "generated a new key in %s; a node with another data directory will not accept this token\n", path)
			}
			token, err := key.Sign(tenant, scopes, ttl, e.now())
			if err != nil {
				return usageErrorf(cmd, "%s", err)
			}
			if !cmd.Flags().Changed("scope") {
				_, _ = fmt.Fprintf(e.err, "this token has all scopes (%s); use --scope to give it fewer\n", strings.Join(scopes, ", "))
			}
			_, err = fmt.Fprintln(e.out, token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "data directory of the node (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
	flags.StringVar(&tenant, "tenant", "", "tenant of the token")
	flags.BoolVar(&platform, "any-tenant", false, "make a platform token, which acts for every tenant, instead of a token of one")
	flags.StringSliceVar(&scopes, "scope", auth.Scopes(), "scopes of the token; without it, all of them")
	completeFlag(cmd, "scope", append(auth.Scopes(), auth.TenantsAny)...)
	flags.DurationVar(&ttl, "ttl", maxTTL, "how long the token is valid")
	flags.BoolVar(&long, "long", false, "allow a --ttl of more than "+maxTTL.String())
	return cmd
}
