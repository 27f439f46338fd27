package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/usertext"
)

const defaultURL = "http://127.0.0.1:8080"

const environmentHelp = `Environment of the commands that call the service:
  SLUICE_URL    URL of the service, unless --url is given (default ` + defaultURL + `)
  SLUICE_TOKEN  access token, unless --token is given
`

// api holds the flags of every command that calls the service.
type api struct {
	env      *env
	url      string
	token    string
	tenant   string
	insecure bool
	asJSON   bool
}

// flags adds the flags to a command and its subcommands.
func (a *api) flags(cmd *cobra.Command) {
	a.serviceFlags(cmd.PersistentFlags())
	cmd.PersistentFlags().StringVar(&a.tenant, "tenant", "", "tenant to act for; needs a platform token (sluice token --any-tenant)")
}

// serviceFlags adds those of a command that takes the tenant from elsewhere.
func (a *api) serviceFlags(f *pflag.FlagSet) {
	f.StringVar(&a.url, "url", "", "URL of the service (SLUICE_URL; default "+defaultURL+")")
	f.StringVar(&a.token, "token", "", "access token, @FILE or env:NAME (SLUICE_TOKEN)")
	f.BoolVar(&a.insecure, "insecure", false, "allow an http:// URL of another host, where the network can read the token and all data")
	f.BoolVar(&a.asJSON, "json", false, "print JSON")
}

// client returns a client for the URL and token of the flags or the environment.
func (a *api) client(cmd *cobra.Command) (*client.Client, error) {
	url := firstOf(a.url, a.env.getenv("SLUICE_URL"), defaultURL)
	urlName, tokenName := "SLUICE_URL", "SLUICE_TOKEN"
	if a.url != "" {
		urlName = "--url"
	}
	if a.token != "" {
		tokenName = "--token"
	}
	token, err := a.env.secret(a.token)
	if err != nil {
		return nil, usageErrorf(cmd, "--token: %s", err)
	}
	token = firstOf(token, strings.TrimSpace(a.env.getenv("SLUICE_TOKEN")))
	if err := usertext.CheckHeader(token); err != nil {
		return nil, usageErrorf(cmd, "%s: the token %s", tokenName, err)
	}
	if cmd.Flags().Changed("tenant") {
		if err := usertext.CheckTenant(a.tenant); err != nil {
			return nil, usageErrorf(cmd, "--tenant: the tenant %q is invalid: it %s", a.tenant, err)
		}
	}
	c, err := client.New(url, token, a.insecure)
	if _, ok := errors.AsType[*client.PlainError](err); ok {
		return nil, usageErrorf(cmd, "%s: %s, or --insecure on a network that you trust", urlName, err)
	}
	if err != nil {
		return nil, usageErrorf(cmd, "%s: %s", urlName, err)
	}
	return c.For(a.tenant), nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

const maxSecretFile = 64 << 10

// secret resolves the value of a flag for a secret: the text itself, the content
// of a file (@FILE), or an environment variable (env:NAME). The last two keep it
// out of the shell history and the process list. A trailing newline of the file is
// not part of the secret.
func (e *env) secret(flag string) (string, error) {
	if name, ok := strings.CutPrefix(flag, "env:"); ok {
		if value := e.getenv(name); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the environment variable %s is not set; set it, or use @FILE", name)
	}
	path, ok := strings.CutPrefix(flag, "@")
	if !ok {
		return flag, nil
	}
	data, err := readBounded(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	if err := usertext.CheckEncoding(data); err != nil {
		return "", fmt.Errorf("the file %s %w", path, err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty; write the secret into it", path)
	}
	return value, nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAtMost(f, path, limit)
}

func readAtMost(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s exceeds the limit of %d bytes; check that it is the right file", name, limit)
	}
	return data, err
}
