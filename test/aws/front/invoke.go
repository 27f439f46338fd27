package front

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	functionsPath   = "/2015-03-31/functions/"
	invocationsPath = "/invocations"
)

// invoke handles POST /2015-03-31/functions/{name or ARN}/invocations and waits for
// the function; it supports no other invocation type.
func (f *Front) invoke(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.EscapedPath(), functionsPath), invocationsPath)
	name, err := url.PathUnescape(name)
	if !ok || err != nil || r.Method != http.MethodPost {
		writeLambda(w, refusal{status: http.StatusNotFound, code: "UnknownOperationException"})
		return
	}
	if kind := r.Header.Get("X-Amz-Invocation-Type"); kind != "" && kind != "RequestResponse" {
		writeLambda(w, refusal{status: http.StatusBadRequest, code: "InvalidParameterValueException"})
		return
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	invoker := f.invoker
	f.mu.Unlock()
	if invoker == nil {
		writeLambda(w, refusals[Lambda][Gone])
		return
	}
	result, functionError, err := invoker.Invoke(r.Context(), name, payload)
	if err != nil {
		writeLambda(w, refusal{http.StatusInternalServerError, "ServiceException", err.Error()})
		return
	}
	if functionError != "" {
		w.Header().Set("X-Amz-Function-Error", functionError)
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(result) // the caller is gone, if anything
}
