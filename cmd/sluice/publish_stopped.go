package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/usertext"
)

// stoppedError is why a publish ended early, what it published and how to go on.
type stoppedError struct {
	error
	leftOver

	lines []string // the same for people
}

// leftOver is what a publish that ended early leaves.
type leftOver struct {
	Published int    `json:"published"` // events
	Unsure    bool   `json:"unsure"`    // whether some of the others may be published too
	Resume    string `json:"resume"`    // a command line
}

// Unwrap returns the cause.
func (e *stoppedError) Unwrap() error { return e.error }

// stopped returns the error of a publish that ended early.
func (f *publishFlags) stopped(cmd *cobra.Command, err error, published int) error {
	stop, ok := errors.AsType[*client.ResumeError](err)
	if !ok {
		return err
	}
	e := &stoppedError{error: err, leftOver: leftOver{published, stop.Unsure, f.resume(cmd, stop.Place)}}
	say := func(format string, args ...any) { e.lines = append(e.lines, fmt.Sprintf(format, args...)) }
	switch {
	case published > 0:
		say("Published %s; stopped before %s of %s.", count(published, "event"), stop.Place, usertext.Escape(f.inputName()))
	case !stop.Unsure:
		say("Nothing was published.")
	}
	_, isInput := errors.AsType[*client.InputError](err)
	switch {
	case stop.Refused.Number > 0:
		say("The service refused %s; correct it first.", stop.Refused)
	case isInput:
		say("Correct %s first.", stop.Place)
	}
	switch {
	case stop.Unsure && stop.MadeIDs:
		say("The service may already have published the next events. Those without an id in the input get a new one, so receivers may see them twice.")
	case stop.Unsure:
		say("The service may already have published the next events. They keep their ids, by which receivers can tell that they have them.")
	}
	with := "resume with: "
	if f.file == "-" {
		with = "resume with the same input to: "
	}
	say("%s%s", with, usertext.Escape(e.Resume))
	return e
}

// resume returns the command line that publishes the rest. It leaves out a token that was
// given in clear.
func (f *publishFlags) resume(cmd *cobra.Command, from client.Place) string {
	words := []string{cmd.CommandPath()}
	if f.file != "-" {
		words = append(words, "--file", usertext.ShellWord(f.file))
	}
	if from.Number > 1 {
		words = append(words, "--from-line", fmt.Sprint(from.Number))
	}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		value := flag.Value.String()
		switch {
		case flag.Name == "file", flag.Name == "from-line":
		case flag.Value.Type() == "bool":
			if value == "true" {
				words = append(words, "--"+flag.Name)
			}
		case flag.Name == "token" && !strings.HasPrefix(value, "@") && !strings.HasPrefix(value, "env:"):
			words = append(words, "--token …")
		default:
			words = append(words, "--"+flag.Name, usertext.ShellWord(value))
		}
	})
	return strings.Join(words, " ")
}
