package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/client"
)

// consoleTTL is how long the token in an address of the console is valid: long enough to look
// around, and short, as addresses are pasted.
const consoleTTL = 15 * time.Minute

// devTenant is the tenant of hints, of the README's tour, and of the console if none is named.
const devTenant = "acme"

// consoleFlags holds the command line of console.
type consoleFlags struct {
	env      *env
	signing  signing
	url      string
	insecure bool
	write    bool
	noOpen   bool
}

func consoleCommand(e *env) *cobra.Command {
	f := &consoleFlags{env: e}
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Open the web console with a token of a node's own key",
		Long: `Sign an access token with the key in a node's data directory, print the address of the
web console with it, and open it in a browser, unless standard output is not a terminal.

The token may read; with --write it may also change integrations. It is in the address's
fragment, which browsers do not send to servers. Anyone who has the address has the token,
and it is in the list of this machine's processes, for as long as a browser runs that was
started with it: use --no-open where others can log in. Without a screen none is opened.`,
		Example: `  sluice console --data ./.sluice
  sluice console --tenant acme --write
  sluice console --any-tenant --no-open
  sluice console --data /var/lib/sluice --url https://events.example.com`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	f.signing.flags(cmd)
	flags.StringVar(&f.signing.tenant, "tenant", devTenant, "tenant of the token")
	flags.BoolVar(&f.signing.platform, "any-tenant", false, "make a platform token, which acts for every tenant: the page asks for one")
	flags.DurationVar(&f.signing.ttl, "ttl", consoleTTL, "how long the token is valid, at most "+maxTTL.String())
	flags.StringVar(&f.url, "url", "", "URL of the service (SLUICE_URL; default "+defaultURL+")")
	flags.BoolVar(&f.insecure, "insecure", false, "allow an http:// URL of another host, where the network can read the token and all data")
	flags.BoolVar(&f.write, "write", false, "let the token change integrations too")
	flags.BoolVar(&f.noOpen, "no-open", false, "only print the address")
	return cmd
}

func (f *consoleFlags) run(cmd *cobra.Command) error {
	e := f.env
	if f.signing.ttl > maxTTL {
		return usageErrorf(cmd, "--ttl is %v; it must be at most %v, as a single token cannot be revoked", f.signing.ttl, maxTTL)
	}
	service, err := client.New(firstOf(f.url, e.getenv("SLUICE_URL"), defaultURL), "", f.insecure)
	if _, ok := errors.AsType[*client.PlainError](err); ok {
		return usageErrorf(cmd, "--url: %s, or --insecure on a network that you trust", err)
	}
	if err != nil {
		return usageErrorf(cmd, "--url: %s", err)
	}
	f.signing.scopes = consoleScopes(f.write)
	token, err := f.signing.sign(cmd, e)
	if err != nil {
		return err
	}
	address := service.ConsoleURL(token)
	if _, err := fmt.Fprintln(e.out, address); err != nil {
		return err
	}
	may, whose := "may only read; --write lets it change integrations", "the tenant "+f.signing.tenant
	if f.write {
		may = "may read and change integrations"
	}
	if f.signing.platform {
		whose = "every tenant"
	}
	_, _ = fmt.Fprintf(e.err, "The token acts for %s for %v and %s. Open the address while the service is running (sluice serve).\n", whose, f.signing.ttl, may)
	if e.open != nil && !f.noOpen {
		_ = e.open(address) // the address is printed
	}
	return nil
}

// consoleScopes returns what a token needs for the console. It publishes nothing but a sample event, on
// a development node.
func consoleScopes(write bool) []string {
	if write {
		return []string{auth.IntegrationsRead, auth.IntegrationsWrite}
	}
	return []string{auth.IntegrationsRead}
}

// opener returns what opens an address in the browser of the reader at a terminal, and nil if
// out is no terminal: then a program reads the address.
func opener(out any) func(address string) error {
	if !isTerminal(out) || !hasDisplay(runtime.GOOS, os.Getenv) {
		return nil
	}
	return func(address string) error {
		command := browser(runtime.GOOS, address)
		// Without an end: it outlives this process.
		return exec.CommandContext(context.Background(), command[0], command[1:]...).Start() //nolint:gosec // the words are fixed, but for an http address
	}
}

// hasDisplay reports whether there is a screen to open a browser on: not so over ssh, where other
// users could read the address in the list of processes for nothing.
func hasDisplay(system string, getenv func(string) string) bool {
	return system == "darwin" || system == "windows" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// browser returns the command that opens an address in an operating system's browser.
func browser(system, address string) []string {
	switch system {
	case "darwin":
		return []string{"open", address}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler", address}
	default:
		return []string{"xdg-open", address}
	}
}
