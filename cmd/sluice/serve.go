package main

import (
	"fmt"
	"log" //nolint:depguard // net/http writes to it, and its output must be filtered
	"log/slog"
	"os"

	"github.com/spf13/cobra"

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

// printHints prints commands to try next.
func (f *serveFlags) printHints(n *node.Node) {
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

func (f *serveFlags) tokenCommand() string {
	return fmt.Sprintf("%s token --data %s --tenant acme", usertext.ShellWord(self()), usertext.ShellWord(f.config.Data))
}

// self returns this program as it was called.
func self() string { return os.Args[0] }
