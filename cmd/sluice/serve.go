package main

import (
	"fmt"
	"log" //nolint:depguard // net/http writes to it, and its output must be filtered
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/node"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/usertext"
)

// serveFlags holds the command line of serve.
type serveFlags struct {
	env    *env
	config node.Config
	file   string
}

func serveCommand(e *env) *cobra.Command {
	f := &serveFlags{env: e, config: node.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service: the API, the log and delivery",
		Long: `Run the service as one process, with its database in the data directory.

Every flag is also a key of the config file (` + "`max-rejected`" + ` is max_rejected) and an
environment variable (SLUICE_MAX_REJECTED). Flags override the environment, which
overrides the config file. Ctrl-C or SIGTERM shuts it down gracefully within 10 s.`,
		Example: `  sluice serve --dev
  sluice serve --addr 0.0.0.0:8080 --data /var/lib/sluice
  sluice serve --data /var/lib/sluice --issuer https://id.example.com/ --audience sluice
  SLUICE_RETENTION=168h sluice serve --config /etc/sluice.yaml`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "", "YAML file with settings (SLUICE_CONFIG)")
	for _, row := range f.config.Rows() {
		flag := flags.VarPF(row, row.Name, "", row.Doc)
		if row.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	completeFlag(cmd, "log-level", "debug", "info", "warn", "error")
	return cmd
}

// run sets each setting from flag, environment, file or default, and runs the node. Errors
// name a setting as it was given.
func (f *serveFlags) run(cmd *cobra.Command) error {
	file := firstOf(f.file, f.env.getenv("SLUICE_CONFIG"))
	names, err := settings.Load(f.config.Rows(), file, f.env.lookup, cmd.Flags().Changed)
	if err != nil {
		return err
	}
	if err := f.config.Validate(); err != nil {
		return names.Named(err)
	}
	return names.Named(f.serve(cmd))
}

func (f *serveFlags) serve(cmd *cobra.Command) error {
	level, err := f.config.Level()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(lineWriter{f.env.err}, &slog.HandlerOptions{Level: level}))
	log.SetOutput(netguard.FilterLog(lineWriter{f.env.err}))
	for _, name := range settings.UnknownEnv(f.config.Rows(), os.Environ()) {
		if name != "SLUICE_CONFIG" {
			logger.Warn("environment variable is not a setting and is ignored; see sluice serve --help", "name", name)
		}
	}
	n, err := node.Open(cmd.Context(), f.config, logger)
	if err != nil {
		return err
	}
	if f.config.Dev {
		f.printHints(n)
	}
	return n.Run(cmd.Context())
}

// printHints prints the console's address, and commands to try next.
func (f *serveFlags) printHints(n *node.Node) {
	if f.config.Console {
		_, _ = fmt.Fprint(f.env.out, f.consoleHint(n))
	}
	token := "<a token from your issuer>"
	if f.config.Issuer == "" {
		token = "$(" + f.tokenCommand() + ")"
	}
	_, _ = fmt.Fprintf(f.env.out, `
Sluice is running at http://%[1]s, with its data in %[2]s. In another terminal:

  export SLUICE_URL=http://%[1]s SLUICE_TOKEN=%[3]s
  %[4]s listen &
  %[4]s integrations create --id my-webhook --type permanent --callback-url http://127.0.0.1:9000/
  echo '{"name":"order.created","payload":{"order_id":"o-1"}}' | %[4]s publish
  %[4]s integrations logs my-webhook

"listen" is a receiver on 127.0.0.1:9000 that prints what arrives. The API is described at http://%[1]s/openapi.yaml; metrics are at http://%[5]s/metrics.

`, n.Addr(), f.config.Data, token, self(), n.MetricsAddr())
}

// consoleHint tells of the console. The token in its address may do all that the page can.
func (f *serveFlags) consoleHint(n *node.Node) string {
	address := "http://" + n.Addr() + "/console/"
	if f.config.Issuer != "" {
		return fmt.Sprintf("\nThe console, which asks for a token of your issuer:\n\n  %s\n", address)
	}
	token, err := f.consoleToken()
	if err != nil { // serving is more than a hint
		return fmt.Sprintf("\nThe console, for which there is no token (%v):\n\n  %s\n", err, address)
	}
	return fmt.Sprintf("\nThe console, for %.0f minutes:\n\n  %s#token=%s\n\nAfter that, this opens it with a new token: %s\n",
		consoleTTL.Minutes(), address, token, f.consoleCommand(n))
}

func (f *serveFlags) consoleToken() (string, error) {
	key, err := auth.OpenOwnKey(filepath.Join(f.config.Data, auth.OwnKeyName))
	if err != nil {
		return "", err
	}
	scopes := append(consoleScopes(true), auth.EventsPublish) // for the page's sample event
	return key.Sign(devTenant, scopes, consoleTTL, f.env.now())
}

func (f *serveFlags) consoleCommand(n *node.Node) string {
	command := fmt.Sprintf("%s console --data %s --write", usertext.ShellWord(self()), usertext.ShellWord(f.config.Data))
	if address := "http://" + n.Addr(); address != defaultURL {
		command += " --url " + usertext.ShellWord(address)
	}
	return command
}

func (f *serveFlags) tokenCommand() string {
	return fmt.Sprintf("%s token --data %s --tenant %s", usertext.ShellWord(self()), usertext.ShellWord(f.config.Data), devTenant)
}

// self returns this program as it was called.
func self() string { return os.Args[0] }
