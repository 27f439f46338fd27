package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/node"
)

func tokenCommand(e *env) *cobra.Command {
	var (
		data   string
		tenant string
		scopes []string
		ttl    time.Duration
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create an access token with a node's own key",
		Long: `Sign an access token with the key in a node's data directory and print it. The node
need not be running; the key is generated on first use. Anyone who can read the
directory can create tokens for every tenant.`,
		Example: `  export SLUICE_TOKEN=$(sluice token --data ./.sluice --tenant acme)
  sluice token --data ./.sluice --tenant acme --scope events:publish --ttl 15m`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tenant == "" {
				return usageErrorf(cmd, "--tenant is missing")
			}
			data = firstOf(data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data)
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
			_, err = fmt.Fprintln(e.out, token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "data directory of the node (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
	flags.StringVar(&tenant, "tenant", "", "tenant of the token")
	flags.StringSliceVar(&scopes, "scope", auth.Scopes(), "scopes of the token")
	flags.DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is valid")
	return cmd
}
