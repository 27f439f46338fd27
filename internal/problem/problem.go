// Package problem is the one error type of Sluice: a stable code for programs,
// a sentence for the person who caused it, and a cause for the log. Only
// package httpapi turns a code into an HTTP status.
package problem

import (
	"errors"
	"fmt"
)

// Code is the stable word that a caller's program may branch on: the
// error_code of the API. Codes are added, never renamed or reused.
type Code string

// The catalogue of codes. TestEveryCodeHasAStatus in package httpapi walks it.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidJSON          Code = "invalid_json"
	UnknownField         Code = "unknown_field"
	InvalidTarget        Code = "invalid_target"
	LimitReached         Code = "limit_reached"
	AlreadyExists        Code = "already_exists"
	NotFound             Code = "not_found"
	NotStopped           Code = "not_stopped"
	ReplayFinished       Code = "replay_finished"
	Conflict             Code = "conflict"
	RetryInProgress      Code = "retry_in_progress"
	ReceiverFailed       Code = "receiver_failed"
	Unauthorized         Code = "unauthorized"
	Forbidden            Code = "forbidden"
	MethodNotAllowed     Code = "method_not_allowed"
	PayloadTooLarge      Code = "payload_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	TooManyRequests      Code = "too_many_requests"
	Unavailable          Code = "unavailable"
	Internal             Code = "internal_error"
)

// Codes lists the catalogue in the order of its declaration.
func Codes() []Code {
	return []Code{
		InvalidRequest, InvalidJSON, UnknownField, InvalidTarget, LimitReached,
		AlreadyExists, NotFound, NotStopped, ReplayFinished, Conflict,
		RetryInProgress, ReceiverFailed, Unauthorized, Forbidden,
		MethodNotAllowed, PayloadTooLarge, UnsupportedMediaType,
		TooManyRequests, Unavailable, Internal,
	}
}

// Error is an error with a code. Message is shown to the caller and must never
// hold a secret or an internal detail; Err is the cause, for the log alone.
type Error struct {
	Code    Code
	Message string
	Err     error
}

// New returns an error whose message is shown to the caller.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause, which reaches the log and never the caller.
func Wrap(err error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// Error is the text for the log: the message and its cause.
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

// MessageOf returns what a caller may be told of err. An error that nobody
// gave a code is answered with a fixed sentence: its text is for the log.
func MessageOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code != Internal {
		return e.Message
	}
	return "Something failed on our side. Try again; if it stays, give the request_id to whoever runs this service."
}
