package asl

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
)

// Invoker runs Lambda functions. The functionError is "" or, where the function
// itself failed, Handled or Unhandled; the result then is an object with
// errorType and errorMessage. The err is that of the call: an *Error has the
// name that Step Functions gives it, such as Lambda.TooManyRequestsException.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Lambda is the task that invokes functions.
func Lambda(invoker Invoker) Task {
	return func(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
		var given struct {
			FunctionName string
			Payload      json.RawMessage
		}
		if err := decode(input, &given); err != nil {
			return nil, runtime("the parameters of lambda:invoke: %v", err)
		}
		result, functionError, err := invoker.Invoke(ctx, given.FunctionName, given.Payload)
		var named *Error
		switch {
		case errors.As(err, &named):
			return nil, named
		case err != nil:
			return nil, &Error{Name: "Lambda.SdkClientException", Cause: err.Error()}
		case functionError != "":
			return nil, faultOf(result)
		}
		if !json.Valid(result) { // it is handed on as a text
			result = write(string(result))
		}
		return slices.Concat([]byte(`{"ExecutedVersion":"$LATEST","StatusCode":200,"Payload":`), result, []byte(`}`)), nil
	}
}

// faultOf is the error of a function that failed.
func faultOf(result []byte) *Error {
	var fault struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(result, &fault) != nil || fault.Type == "" {
		fault.Type = "Lambda.Unknown"
	}
	return &Error{Name: fault.Type, Cause: string(result)}
}
