package problem_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/problem"
)

// Programs branch on these words: they are added to and never renamed.
func TestCodesAreStable(t *testing.T) {
	for got, want := range map[problem.Code]string{
		problem.InvalidRequest:       "invalid_request",
		problem.InvalidJSON:          "invalid_json",
		problem.UnknownField:         "unknown_field",
		problem.InvalidTarget:        "invalid_target",
		problem.LimitReached:         "limit_reached",
		problem.AlreadyExists:        "already_exists",
		problem.NotFound:             "not_found",
		problem.NotStopped:           "not_stopped",
		problem.ReplayFinished:       "replay_finished",
		problem.InvalidPosition:      "invalid_position",
		problem.PositionExpired:      "position_expired",
		problem.Conflict:             "conflict",
		problem.RetryInProgress:      "retry_in_progress",
		problem.ReceiverFailed:       "receiver_failed",
		problem.Unauthorized:         "unauthorized",
		problem.Forbidden:            "forbidden",
		problem.MethodNotAllowed:     "method_not_allowed",
		problem.PayloadTooLarge:      "payload_too_large",
		problem.UnsupportedMediaType: "unsupported_media_type",
		problem.TooManyRequests:      "too_many_requests",
		problem.Unavailable:          "unavailable",
		problem.Internal:             "internal_error",
	} {
		if string(got) != want {
			t.Errorf("a code is %q, want %q", got, want)
		}
		if !slices.Contains(problem.Codes(), got) {
			t.Errorf("the code %q is not in the catalogue", got)
		}
	}
	if codes := problem.Codes(); len(slices.Compact(slices.Sorted(slices.Values(codes)))) != len(codes) {
		t.Errorf("a code is in the catalogue twice: %q", codes)
	}
}

// The text for the caller, the text for the log, and the code for programs.
func TestUserAndOperatorGetTheirOwnError(t *testing.T) {
	ours := problem.MessageOf(errors.New("open /var/lib/sluice.db: denied"))
	if strings.Contains(ours, "sluice.db") || !strings.Contains(ours, "request_id") {
		t.Errorf("an error without a code reads %q", ours)
	}
	cause := errors.New("dial 10.0.0.1: refused")
	shown := problem.Wrap(cause, problem.Unavailable, "The log of %s cannot be written.", "acme")
	type told struct {
		Code                problem.Code
		Caller, Log         string
		IsCause, IsCanceled bool
	}
	for name, c := range map[string]struct {
		err  error
		want told
	}{
		"without a cause": {problem.New(problem.NotFound, "There is no %q.", "x"), told{Code: "not_found", Caller: `There is no "x".`, Log: `There is no "x".`}},
		"with a cause":    {shown, told{Code: "unavailable", Caller: "The log of acme cannot be written.", Log: "The log of acme cannot be written.: dial 10.0.0.1: refused", IsCause: true}},
		"wrapped":         {fmt.Errorf("append: %w", shown), told{Code: "unavailable", Caller: "The log of acme cannot be written.", Log: "append: The log of acme cannot be written.: dial 10.0.0.1: refused", IsCause: true}},
		"of two codes": {
			problem.Wrap(shown, problem.Conflict, "Try again."),
			told{Code: "conflict", Caller: "Try again.", Log: "Try again.: The log of acme cannot be written.: dial 10.0.0.1: refused", IsCause: true},
		},
		"an internal one": {problem.New(problem.Internal, "the key 7 is damaged"), told{Code: "internal_error", Caller: ours, Log: "the key 7 is damaged"}},
		"of no code":      {cause, told{Code: "internal_error", Caller: ours, Log: "dial 10.0.0.1: refused", IsCause: true}},
		"a context's end": {
			problem.Wrap(context.Canceled, problem.Unavailable, "The call ended."),
			told{Code: "unavailable", Caller: "The call ended.", Log: "The call ended.: context canceled", IsCanceled: true},
		},
	} {
		got := told{
			Code: problem.CodeOf(c.err), Caller: problem.MessageOf(c.err), Log: c.err.Error(),
			IsCause: errors.Is(c.err, cause), IsCanceled: errors.Is(c.err, context.Canceled),
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if code, message := problem.CodeOf(nil), problem.MessageOf(nil); code != "" || message != "" {
		t.Errorf("no error is %q: %q", code, message)
	}
}
