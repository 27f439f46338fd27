// Package front is a single endpoint for all of AWS in tests, as in
// AWS_ENDPOINT_URL: it counts each request, applies injected faults and forwards it
// to the emulator of the service or to the function host.
package front

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sluicehq/sluice/test/aws/emulators"
)

// Invoker runs Lambda functions by name or ARN. If the function fails,
// functionError is set, such as Unhandled, and result describes the failure; err
// means that the function did not run, and the front responds 500.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Backends are the handlers of the services. Forward makes one from an endpoint.
type Backends struct {
	DynamoDB      http.Handler
	Kinesis       http.Handler
	StepFunctions http.Handler
	SQS           http.Handler // nil: as the rest
	Rest          http.Handler // S3 with the bucket in the path, SQS, KMS
}

// Front is a server on loopback. Its methods are safe for concurrent use.
type Front struct {
	listener net.Listener
	server   *http.Server
	began    time.Time

	mu       sync.Mutex
	backends Backends
	invoker  Invoker
	counts   Counts
	rules    []*rule
	random   *rand.Rand
	injected []Injected
}

// Start starts a front for the emulators, which it starts if necessary; none of them has
// Step Functions. It stops with the test. The seed is for faults with a probability.
func Start(t testing.TB, seed uint64) *Front {
	t.Helper()
	f, err := Listen(seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	urls := emulators.All(t)
	f.Serve(Backends{DynamoDB: Forward(urls.DynamoDB), Kinesis: Forward(urls.Kinesis), Rest: Forward(urls.Moto)})
	return f
}

// Listen returns a front on a free port. It responds after a call of Serve.
func Listen(seed uint64) (*Front, error) {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Front{
		listener: listener,
		began:    time.Now(),
		counts:   Counts{},
		random:   rand.New(rand.NewPCG(seed, 0)),
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Minute, ErrorLog: quiet}
	return f, nil
}

// Serve starts serving requests. Call it once.
func (f *Front) Serve(backends Backends) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends = backends
	go func() { _ = f.server.Serve(f.listener) }() // it ends by Close
}

// Invoke sets the invoker of functions.
func (f *Front) Invoke(invoker Invoker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.invoker = invoker
}

// Close stops the server and cuts all connections. It may be called again.
func (f *Front) Close() {
	_ = f.server.Close()
	_ = f.listener.Close() // where nothing was served
}

// URL is the endpoint.
func (f *Front) URL() string { return "http://127.0.0.1:" + strconv.Itoa(f.Port()) }

// Port is the endpoint's port.
func (f *Front) Port() int { return f.listener.Addr().(*net.TCPAddr).Port }

// Config returns a configuration for clients of the front; see emulators.Config.
func (f *Front) Config() aws.Config { return emulators.Config(f.URL()) }

// quiet discards log lines about connections cut by faults and at the ends of
// tests.
var quiet = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
