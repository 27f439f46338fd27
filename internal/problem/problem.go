// Package problem defines Sluice's error type: a stable code for programs, a
// message for the caller, and a cause for the log. Only package httpapi maps codes
// to HTTP statuses.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Code is the error_code of the API, which callers' programs may branch on. Codes
// are added, never renamed or reused.
type Code string

// All codes. Add new ones to Codes and to the statuses of package httpapi.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidJSON          Code = "invalid_json"
	UnknownField         Code = "unknown_field"
	UnknownParameter     Code = "unknown_parameter"
	InvalidTarget        Code = "invalid_target"
	LimitReached         Code = "limit_reached"
	AlreadyExists        Code = "already_exists"
	NotFound             Code = "not_found"
	NotStopped           Code = "not_stopped"
	ReplayFinished       Code = "replay_finished"
	InvalidPosition      Code = "invalid_position"
	PositionExpired      Code = "position_expired"
	WindowRequired       Code = "window_required"
	WindowTooLarge       Code = "window_too_large"
	Conflict             Code = "conflict"
	RetryInProgress      Code = "retry_in_progress"
	ReceiverFailed       Code = "receiver_failed"
	NotBlocked           Code = "not_blocked"
	AlertsOff            Code = "alerts_off"
	IdempotencyMismatch  Code = "idempotency_mismatch"
	KeyInProgress        Code = "idempotency_in_progress"
	Unauthorized         Code = "unauthorized"
	Forbidden            Code = "forbidden"
	TenantRequired       Code = "tenant_required"
	MethodNotAllowed     Code = "method_not_allowed"
	PayloadTooLarge      Code = "payload_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	TooManyRequests      Code = "too_many_requests"
	Unavailable          Code = "unavailable"
	Internal             Code = "internal_error"
)

// Codes returns all codes in the order of their declaration.
func Codes() []Code {
	return []Code{
		InvalidRequest, InvalidJSON, UnknownField, UnknownParameter, InvalidTarget, LimitReached,
		AlreadyExists, NotFound, NotStopped, ReplayFinished,
		InvalidPosition, PositionExpired, WindowRequired, WindowTooLarge, Conflict, RetryInProgress,
		ReceiverFailed, NotBlocked, AlertsOff, IdempotencyMismatch, KeyInProgress,
		Unauthorized, Forbidden, TenantRequired, MethodNotAllowed,
		PayloadTooLarge, UnsupportedMediaType, TooManyRequests, Unavailable, Internal,
	}
}

// Error is an error with a code. Message is shown to the caller and must never
// contain a secret or an internal detail. Err is the cause, for the log only.
type Error struct {
	Code    Code
	Message string
	Err     error
	// RetryAfter is when to try again, 0 if that is not known. It is for
	// TooManyRequests, Unavailable and KeyInProgress.
	RetryAfter time.Duration
}

// New returns an Error with a formatted message for the caller.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause, which is logged and never shown to the caller.
func Wrap(err error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// Error returns the message and the cause, for the log.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the outermost Error in err's chain, Internal for
// any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// MessageOf returns the message of err for the caller: that of the outermost
// Error in its chain, or a fixed one for Internal and for any other error, whose
// text is for the log only. It is "" for nil.
func MessageOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code != Internal {
		return e.Message
	}
	return "Internal error. If it persists, contact the operator with this request_id."
}

// RetryAfterOf returns when to try again after err, 0 if that is not known.
func RetryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}
