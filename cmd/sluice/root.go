package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/version"
)

// env is the environment of a command. Tests replace it.
type env struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	sleep    func(context.Context, time.Duration) error
	now      func() time.Time
	open     func(address string) error // in a browser; nil if no person would see it
}

// lookup returns a variable and whether it is set; "" counts as not set.
func (e *env) lookup(name string) (string, bool) {
	text := e.getenv(name)
	return text, text != ""
}

// commands lists every subcommand. Put a new one in its own file and add it here.
func commands(e *env) []*cobra.Command {
	return []*cobra.Command{
		serveCommand(e),
		tokenCommand(e),
		consoleCommand(e),
		publishCommand(e),
		listenCommand(e),
		integrationsCommand(e),
		eventsCommand(e),
		rejectedCommand(e),
		backupCommand(e),
		restoreCommand(e),
		tenantCommand(e),
		compactCommand(e),
		resetClockCommand(e),
		versionCommand(e),
	}
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, e *env) int {
	root := rootCommand(e)
	root.SetArgs(args)
	misspelt := refuseHelpOfNothing(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = *misspelt
	}
	if err != nil {
		report(e.err, err, wantsJSON(args))
		return exitCode(err)
	}
	return exitOK
}

func rootCommand(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "An event stream for integrations",
		Long: `Sluice takes the events of a platform and delivers every event to each registered
integration: as a webhook call, or in files in an S3 bucket.

` + environmentHelp + `
` + errorHelp + `
` + exitCodeHelp,
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,

		PersistentPreRunE: refuseEmpty,

		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.in)
	root.SetOut(e.out)
	root.SetErr(e.err)
	root.SetVersionTemplate(versionLine())
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(commands(e)...)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	addCompletionCommand(root)
	return root
}
