package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/problem"
)

// The exit codes. They are part of the contract with scripts.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitInvalid      = 4
	exitUnauthorized = 5
	exitUnavailable  = 6
)

const exitCodeHelp = `Exit codes:
  0  success
  1  failure
  2  invalid command line
  3  not found
  4  invalid input, or not possible in the current state
  5  the token is missing or invalid, or lacks the scope
  6  the service is unreachable or unavailable; try again later`

// usageError reports an invalid command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usageErrorf(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...) + "; see " + cmd.CommandPath() + " --help"}
}

// invalidError reports input that was refused without calling the service.
type invalidError struct{ message string }

func (e *invalidError) Error() string { return e.message }

// exactArgs requires one non-empty argument for each name.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		for i, name := range names {
			if i >= len(args) || args[i] == "" {
				return usageErrorf(cmd, "%s is missing", name)
			}
		}
		if len(args) > len(names) {
			return usageErrorf(cmd, "unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// optionalArg requires at most one argument, which must not be empty.
func optionalArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return exactArgs(name)(cmd, args)
	}
}

// noSuchCommand is the Args of a command with only subcommands.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageErrorf(cmd, "unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usageErrorf(cmd, "unknown command %q", args[0])
}

// subcommandMissing is the RunE of a group of commands.
func subcommandMissing(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return usageErrorf(cmd, "a subcommand is missing: %s", strings.Join(names, ", "))
}

// exitCode maps an error to an exit code.
func exitCode(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return exitUnavailable
	}
	if _, ok := errors.AsType[*client.InputError](err); ok {
		return exitInvalid
	}
	if _, ok := errors.AsType[*invalidError](err); ok {
		return exitInvalid
	}
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return exitFailure
	}
	switch {
	case e.Status == http.StatusNotFound && e.Code != "": // without a code it is not from Sluice: the URL is wrong
		return exitNotFound
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return exitUnauthorized
	case e.Code == string(problem.ReceiverFailed):
		return exitFailure // the receiver failed, not the service
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusBadGateway,
		e.Status == http.StatusServiceUnavailable, e.Status == http.StatusGatewayTimeout:
		return exitUnavailable
	case e.Status >= 400 && e.Status < 500 && e.Code != "":
		return exitInvalid
	}
	return exitFailure
}
