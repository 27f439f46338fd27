package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/usertext"
)

const errorHelp = `With --json the error is JSON too: {"error_code", "message", "exit_code"} and, if the
service refused the call, "request_id". It is the last line of standard error, so that
standard output has nothing but results.
`

// failure is an error as --json prints it. The error codes of a call that was refused are
// those of the API.
type failure struct {
	Code      string `json:"error_code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id,omitempty"`
	ExitCode  int    `json:"exit_code"`

	Publish *leftOver `json:"publish,omitempty"` // of one that ended early
}

// wantsJSON reports whether a command line asks for JSON, also one that cannot be parsed.
func wantsJSON(args []string) bool {
	asJSON := false
	for _, arg := range args {
		switch name, value, given := strings.Cut(arg, "="); {
		case arg == "--":
			return asJSON
		case name == "--json" && given:
			asJSON, _ = strconv.ParseBool(value)
		case name == "--json":
			asJSON = true
		}
	}
	return asJSON
}

// report writes why a command failed: as a line, or as JSON.
func report(w io.Writer, err error, asJSON bool) {
	stopped, _ := errors.AsType[*stoppedError](err)
	if !asJSON {
		if stopped != nil {
			_, _ = fmt.Fprintln(w, strings.Join(stopped.lines, "\n"))
		}
		printError(w, err)
		return
	}
	f := failure{Code: localCode(err), Message: messageOf(err), ExitCode: exitCode(err)}
	if e, ok := errors.AsType[*client.Error](err); ok && e.Code != "" {
		f.Code, f.RequestID = e.Code, e.RequestID
		f.Message = strings.Replace(f.Message, e.Error(), e.Message, 1)
	}
	if stopped != nil {
		f.Publish = &stopped.leftOver
	}
	enc := json.NewEncoder(lineWriter{w})
	enc.SetEscapeHTML(false)
	_ = enc.Encode(f)
}

// localCode is the error code of an error that is not a response of the API.
func localCode(err error) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) {
		return "interrupted"
	}
	if _, ok := errors.AsType[*undeliveredError](err); ok {
		return "not_delivered"
	}
	switch exitCode(err) {
	case exitUsage:
		return "invalid_command_line"
	case exitInvalid:
		return "invalid_input"
	case exitUnavailable:
		return "unreachable"
	}
	return "failed"
}

// messageOf returns what failed and, if known, what to do, on one line.
func messageOf(err error) string {
	message := strings.ReplaceAll(err.Error(), "\n", "; ") // several errors, joined
	if errors.Is(err, context.Canceled) {
		message = errInterrupted.Error()
	}
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusUnauthorized {
		message += "; set SLUICE_TOKEN or --token (for a local node: to the output of `sluice token --tenant NAME`)"
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		message += "; check that it is running (`sluice serve --dev`) and that --url or SLUICE_URL is right"
	}
	return message
}

// printError writes an error as one line.
func printError(w io.Writer, err error) {
	_, _ = fmt.Fprintln(w, "sluice: "+usertext.Escape(messageOf(err)))
}
