package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/private"
)

// maxTTL is how long a token is valid, unless somebody asks for a longer one.
const maxTTL = 24 * time.Hour

// signing is an access token to sign with a node's own key.
type signing struct {
	data     string // directory; "" for the default
	tenant   string
	platform bool // instead of a tenant
	scopes   []string
	ttl      time.Duration
}

func (s *signing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.data, "data", "", "data directory of the node (SLUICE_DATA; default "+node.DefaultConfig().Data+")")
}

// sign returns the token. It makes the key if there is none, and says so.
func (s *signing) sign(cmd *cobra.Command, e *env) (string, error) {
	switch {
	case s.platform && cmd.Flags().Changed("tenant"):
		return "", usageErrorf(cmd, "both --tenant and --any-tenant are given; omit one")
	case !s.platform && s.tenant == "":
		return "", usageErrorf(cmd, "--tenant is missing; for a platform token, which acts for every tenant, use --any-tenant")
	case s.platform:
		s.tenant = ""
		if !slices.Contains(s.scopes, auth.TenantsAny) {
			s.scopes = append(s.scopes, auth.TenantsAny)
		}
	}
	data := firstOf(s.data, e.getenv("SLUICE_DATA"), node.DefaultConfig().Data)
	if err := private.Dir("the data directory", data); err != nil { // others could replace the key
		return "", err
	}
	path := filepath.Join(data, auth.OwnKeyName)
	_, statErr := os.Stat(path)
	key, err := auth.OpenOwnKey(path)
	if err != nil {
		return "", err
	}
	if errors.Is(statErr, fs.ErrNotExist) {
		_, _ = fmt.Fprintf(e.err, "generated a new key in %s; a node with another data directory will not accept this token\n", path)
	}
	token, err := key.Sign(s.tenant, s.scopes, s.ttl, e.now())
	if err != nil {
		return "", usageErrorf(cmd, "%s", err)
	}
	return token, nil
}
