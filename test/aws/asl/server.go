package asl

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// request has the parameters of the calls.
type request struct {
	StateMachineARN string `json:"stateMachineArn"`
	ExecutionARN    string `json:"executionArn"`
	Name            string
	Input           string
	StatusFilter    types.ExecutionStatus
	Error, Cause    string
}

// ServeHTTP serves the Step Functions calls about executions: StartExecution,
// DescribeExecution, ListExecutions (in one page) and StopExecution.
func (m *Machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	answer, err := m.serve(r)
	if err != nil {
		named := &Error{"ValidationException", err.Error()}
		_ = errors.As(err, &named) // any other error is the request's fault
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]any{"__type": named.Name, "message": named.Cause}
	}
	_, _ = w.Write(encode(answer)) // the client is gone, if anything
}

func (m *Machine) serve(r *http.Request) (map[string]any, error) {
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, err
	}
	if q.StateMachineARN != "" && q.StateMachineARN != m.arn {
		return nil, &Error{"StateMachineDoesNotExist", q.StateMachineARN}
	}
	switch operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions."); operation {
	case "StartExecution":
		x, err := m.Start(q.Name, []byte(q.Input))
		return map[string]any{"executionArn": x.ARN, "startDate": seconds(x.Started)}, err
	case "DescribeExecution", "StopExecution":
		m.mu.Lock()
		defer m.mu.Unlock()
		x := m.find(q.ExecutionARN)
		if x == nil {
			return nil, &Error{"ExecutionDoesNotExist", q.ExecutionARN}
		}
		if operation == "StopExecution" { // a running function continues
			x.end(types.ExecutionStatusAborted, q.Error, q.Cause)
		}
		return describe(x.about), nil
	case "ListExecutions":
		list := []map[string]any{}
		for _, x := range m.Executions(q.StatusFilter) {
			list = append(list, describe(x))
		}
		return map[string]any{"executions": list}, nil
	default:
		return nil, &Error{"UnknownOperationException", operation}
	}
}

func describe(x Execution) map[string]any {
	about := map[string]any{
		"executionArn": x.ARN, "name": x.Name, "status": x.Status, "startDate": seconds(x.Started),
		"input": string(x.Input), "error": x.Error, "cause": x.Cause,
	}
	if !x.Stopped.IsZero() {
		about["stopDate"] = seconds(x.Stopped)
	}
	return about
}

// seconds returns a time as AWS JSON encodes it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
