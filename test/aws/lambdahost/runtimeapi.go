package lambdahost

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxPayload limits the request and the response of an invocation:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
const maxPayload = 6291556

// runtimeAPI returns the Runtime API of the process.
func (e *environment) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.failure)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.initError)
	return mux
}

func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	select {
	case e.polls <- time.Now():
	case <-r.Context().Done():
		return
	}
	select {
	case i := <-e.work:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", e.fn.host.ARN(e.fn.Name))
		h.Set("Lambda-Runtime-Trace-Id", i.trace)
		h.Set("Content-Length", strconv.Itoa(len(i.payload)))
		_, _ = w.Write(i.payload) // a process that does not read it runs into its time limit
	case <-r.Context().Done():
	}
}

func (e *environment) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4*maxPayload))
	switch {
	case err != nil:
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", err.Error())
	case r.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "":
		e.answer(w, r, errorPayload(r.Trailer.Get("Lambda-Runtime-Function-Error-Type"), "the response ended with an error"), true)
	case len(body) > maxPayload:
		message := "Response payload size (" + strconv.Itoa(len(body)) + " bytes) exceeded maximum allowed payload size (" +
			strconv.Itoa(maxPayload) + " bytes)."
		e.finish(r.PathValue("id"), errorPayload("Function.ResponseSizeTooLarge", message), true)
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", message)
	default:
		e.answer(w, r, body, false)
	}
}

func (e *environment) failure(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	e.answer(w, r, body, true)
}

func (e *environment) initError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	select {
	case e.failed <- body:
	default: // it has reported before
	}
	accept(w)
}

func (e *environment) answer(w http.ResponseWriter, r *http.Request, payload []byte, failed bool) {
	if !e.finish(r.PathValue("id"), payload, failed) {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	accept(w)
}

// finish records the response to an invocation. It reports false if that is not the
// current one or already has a response.
func (e *environment) finish(id string, payload []byte, failed bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.current
	if i == nil || i.id != id || i.finished {
		return false
	}
	i.finished = true
	i.answered <- answer{payload, failed, time.Now()}
	return true
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(errorPayload(kind, message))
}

// errorPayload returns Lambda's error object for a failed function:
// https://docs.aws.amazon.com/lambda/latest/dg/golang-exceptions.html.
func errorPayload(kind, message string) []byte {
	text, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, kind})
	if err != nil {
		panic(err) // two strings
	}
	return text
}
