package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/usertext"
)

// addCompletionCommand adds the command that prints completion scripts, to go by the same
// rules as the others.
func addCompletionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Short = "Print a script that completes commands, flags and ids in a shell"
		cmd.Args, cmd.RunE = noSuchCommand, subcommandMissing
		cmd.Example = "  sluice completion bash\n  sluice completion zsh"
		for _, shell := range cmd.Commands() {
			shell.Args = exactArgs()
			shell.Short = "Print the script for " + shell.Name() + "; --help says how to load it"
			shell.Example = fmt.Sprintf("  sluice completion %s", shell.Name())
		}
	}
}

// completionTimeout is how long a completion may wait for the service. A shell waits with it.
const completionTimeout = 2 * time.Second

// completeArgs completes the arguments of subcommands by their names in Use: ids of
// integrations (ID), and of events that an integration has rejected or waits for (EVENT).
// Without the service, or a token, there are none.
func (a *api) completeArgs(commands []*cobra.Command) {
	for _, cmd := range commands {
		names := strings.Fields(cmd.Use)[1:]
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) >= len(names) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
			defer cancel()
			c, err := a.client(cmd)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return candidates(ctx, c, cmd, strings.Trim(names[len(args)], "[]"), args), cobra.ShellCompDirectiveNoFileComp
		}
	}
}

// candidates returns what an argument with this name can be.
func candidates(ctx context.Context, c *client.Client, cmd *cobra.Command, name string, args []string) (found []cobra.Completion) {
	switch {
	case name == "ID":
		list, _ := c.Integrations(ctx)
		for i := range list {
			found = append(found, described(list[i].ID, list[i].Type+", "+list[i].Status))
		}
	case name == "EVENT" && cmd.Name() == "skip":
		if h, err := c.Health(ctx, args[0]); err == nil && h.Failing != nil && h.Failing.EventID != "" {
			found = append(found, usertext.Escape(h.Failing.EventID))
		}
	case name == "EVENT":
		list, _, _ := c.RejectedEvents(ctx, args[0], pageSize, "")
		for i := range list {
			found = append(found, described(list[i].ID, list[i].Reason+" "+list[i].CreatedAt))
		}
	}
	return found
}

func described(id, what string) cobra.Completion {
	return cobra.CompletionWithDesc(usertext.Escape(id), usertext.Escape(what))
}

// completeFlag completes a flag by the values that it can have, or that it has most often.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag, or it has completions already
	}
}
