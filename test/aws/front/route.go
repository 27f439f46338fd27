package front

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// The names of the services in faults and counts.
const (
	DynamoDB      = "dynamodb"
	Kinesis       = "kinesis"
	KMS           = "kms"
	Lambda        = "lambda" // Invoke is its only operation here
	S3            = "s3"
	SQS           = "sqs"
	StepFunctions = "states"
)

// targets maps the prefix of the header X-Amz-Target to the service.
var targets = map[string]string{
	"DynamoDB":         DynamoDB,
	"Kinesis":          Kinesis,
	"TrentService":     KMS,
	"AWSStepFunctions": StepFunctions,
	"AmazonSQS":        SQS,
}

// maxBody limits the bodies held in memory, in bytes. The largest is 16 MiB, of
// DynamoDB's BatchWriteItem.
const maxBody = 20 << 20

// call is a parsed request.
type call struct {
	service, op string
	body        []byte // for S3 the path: its bodies are not held in memory
}

// ServeHTTP handles one AWS request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := understand(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.count(c)
	kind, wait := f.judge(c)
	if wait > 0 && !sleep(r.Context(), wait) {
		return
	}
	backend := f.backend(c)
	switch kind {
	case none:
		backend.ServeHTTP(w, r)
	case TimeoutAfterSuccess:
		// The call completes even if the caller disconnects.
		backend.ServeHTTP(&nowhere{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
		panic(http.ErrAbortHandler)
	default:
		if kind == Throttle && c.service == Kinesis && c.op == "PutRecords" {
			f.throttleRecords(w, r, c, backend)
			return
		}
		refuse(w, r, c, kind)
	}
}

func understand(w http.ResponseWriter, r *http.Request) (call, error) {
	var c call
	target := r.Header.Get("X-Amz-Target")
	switch {
	case target != "":
		prefix, op, _ := strings.Cut(target, ".")
		prefix, _, _ = strings.Cut(prefix, "_") // a version, as in DynamoDB_20120810
		c.service, c.op = targets[prefix], op
		if c.service == "" {
			c.service = strings.ToLower(prefix)
		}
	case strings.HasPrefix(r.URL.Path, functionsPath):
		c.service, c.op = Lambda, "Invoke"
	default:
		return call{service: S3, op: objectOperation(r), body: []byte(r.URL.Path)}, nil
	}
	var err error
	if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return c, fmt.Errorf("front: read the request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	return c, nil
}

func (f *Front) backend(c call) http.Handler {
	backends := f.now()
	if c.service == SQS && backends.SQS != nil {
		return backends.SQS
	}
	switch c.service {
	case DynamoDB:
		return backends.DynamoDB
	case Kinesis:
		return backends.Kinesis
	case StepFunctions:
		return backends.StepFunctions
	case Lambda:
		return http.HandlerFunc(f.invoke)
	default:
		return backends.Rest
	}
}

func (f *Front) now() Backends {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.backends
}

// sleep waits and reports whether the context is not done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// connections are shared by all proxies.
var connections = &http.Transport{
	MaxIdleConnsPerHost: 256,
	IdleConnTimeout:     time.Minute,
	DisableCompression:  true, // pass responses through unchanged
}

// Forward returns a handler that forwards requests to an endpoint. It panics if
// the endpoint is not a URL.
func Forward(endpoint string) http.Handler {
	to, err := url.Parse(endpoint)
	if err != nil {
		panic(err)
	}
	return &httputil.ReverseProxy{
		Transport: connections,
		ErrorLog:  quiet,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // Host is signed, and queue URLs contain it
			r.Out.Header.Del("Expect")
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				http.Error(w, "front: "+err.Error(), http.StatusBadGateway)
			}
		},
	}
}

// nowhere discards a response.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header            { return n.header }
func (n *nowhere) Write(text []byte) (int, error) { return len(text), nil }
func (n *nowhere) WriteHeader(int)                {}
