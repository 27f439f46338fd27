package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	targetPrefix = "AWSStepFunctions."
	contentType  = "application/x-amz-json-1.0"
	maxRequest   = 1 << 20
	maxPage      = 1000
	defaultPage  = 100
)

// Server serves the part of the API of Step Functions that is about
// executions, in AWS JSON 1.0: StartExecution, DescribeExecution,
// ListExecutions and StopExecution. Signatures are not checked.
type Server struct{ Service *Service }

// request has the parameters of all four calls.
type request struct {
	StateMachineARN string  `json:"stateMachineArn"`
	ExecutionARN    string  `json:"executionArn"`
	Name            string  `json:"name"`
	Input           *string `json:"input"`
	StatusFilter    Status  `json:"statusFilter"`
	MaxResults      int     `json:"maxResults"`
	NextToken       string  `json:"nextToken"`
	Error           string  `json:"error"`
	Cause           string  `json:"cause"`
}

func (s Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := s.serve(r)
	status := http.StatusOK
	if err != nil {
		status, answer = http.StatusBadRequest, problemOf(err)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client is gone, if anything
}

func problemOf(err error) map[string]any {
	var named *Error
	if !errors.As(err, &named) {
		named = &Error{Name: "ValidationException", Cause: err.Error()}
	}
	return map[string]any{"__type": named.Name, "message": named.Cause}
}

func (s Server) serve(r *http.Request) (map[string]any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return nil, err
	}
	var q request
	if err := decode(body, &q); err != nil {
		return nil, &Error{Name: "SerializationException", Cause: err.Error()}
	}
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if !ok || r.Method != http.MethodPost {
		return nil, &Error{Name: "UnknownOperationException", Cause: fmt.Sprintf("%s %s", r.Method, r.Header.Get("X-Amz-Target"))}
	}
	switch operation {
	case "StartExecution":
		return s.start(q)
	case "DescribeExecution":
		x, err := s.Service.Describe(q.ExecutionARN)
		if err != nil {
			return nil, err
		}
		return describe(x), nil
	case "ListExecutions":
		return s.list(q)
	case "StopExecution":
		x, err := s.Service.Stop(q.ExecutionARN, q.Error, q.Cause)
		if err != nil {
			return nil, err
		}
		return map[string]any{"stopDate": seconds(x.Stopped)}, nil
	}
	return nil, &Error{Name: "UnknownOperationException", Cause: operation}
}

func (s Server) start(q request) (map[string]any, error) {
	input := "{}"
	if q.Input != nil {
		input = *q.Input
	}
	x, err := s.Service.Start(q.StateMachineARN, q.Name, json.RawMessage(input))
	if err != nil {
		return nil, err
	}
	return map[string]any{"executionArn": x.ARN, "startDate": seconds(x.Started)}, nil
}

// list returns one page. The token is the number of those before it; what is
// started between two pages can make one show twice.
func (s Server) list(q request) (map[string]any, error) {
	all, err := s.Service.List(q.StateMachineARN, q.StatusFilter)
	if err != nil {
		return nil, err
	}
	from := 0
	if q.NextToken != "" {
		if from, err = strconv.Atoi(q.NextToken); err != nil || from < 0 || from > len(all) {
			return nil, &Error{Name: "InvalidToken", Cause: q.NextToken}
		}
	}
	size := q.MaxResults
	if size <= 0 || size > maxPage {
		size = defaultPage
	}
	until := min(from+size, len(all))
	page := []map[string]any{}
	for _, x := range all[from:until] {
		one := describe(x)
		for _, name := range []string{"input", "output", "error", "cause"} {
			delete(one, name)
		}
		page = append(page, one)
	}
	answer := map[string]any{"executions": page}
	if until < len(all) {
		answer["nextToken"] = strconv.Itoa(until)
	}
	return answer, nil
}

func describe(x Execution) map[string]any {
	about := map[string]any{
		"executionArn": x.ARN, "stateMachineArn": x.Machine, "name": x.Name,
		"status": x.Status, "startDate": seconds(x.Started), "input": string(x.Input),
	}
	if x.Status == Running {
		return about
	}
	about["stopDate"] = seconds(x.Stopped)
	if x.Status == Succeeded {
		about["output"] = string(x.Output)
	} else {
		about["error"], about["cause"] = x.Error, x.Cause
	}
	return about
}

// seconds is a time as AWS JSON has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
