// Package front is one endpoint for all of AWS in tests, what AWS_ENDPOINT_URL
// would name: it hands each request to the emulator or the host that stands in
// for the service, counts it, and does to it what the faults ask for.
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

// Invoker runs Lambda functions by their name or ARN. The function's own failure
// is a functionError, as Unhandled, and result then describes it; err is that
// the function did not run, which is answered with 500.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Backends is who answers for which service. Forward makes one of an endpoint.
type Backends struct {
	DynamoDB      http.Handler
	Kinesis       http.Handler
	StepFunctions http.Handler
	Rest          http.Handler // S3 with the bucket in the path, SQS, KMS
}

// Front is a server on loopback. All its methods may be called at any time, from
// many goroutines.
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

// Start starts a front before emulators, which are started if they do not run,
// with a moto of its own, whose state machines call at the front. It ends with
// the test. Functions are invoked once Invoke has named who runs them. The seed is
// for faults with a probability.
func Start(t testing.TB, seed uint64) *Front {
	t.Helper()
	f, err := Listen(seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	urls := emulators.All(t, f.Port())
	moto := Forward(urls.Moto)
	f.Serve(Backends{
		DynamoDB:      Forward(urls.DynamoDB),
		Kinesis:       Forward(urls.Kinesis),
		StepFunctions: moto,
		Rest:          moto,
	})
	return f
}

// Listen returns a front on a free port, which Serve lets answer.
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

// Serve begins to answer. It is called once.
func (f *Front) Serve(backends Backends) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends = backends
	go func() { _ = f.server.Serve(f.listener) }() // it ends by Close
}

// Invoke names who runs the functions from now on.
func (f *Front) Invoke(invoker Invoker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.invoker = invoker
}

// Close cuts all connections. It may be called again.
func (f *Front) Close() {
	_ = f.server.Close()
	_ = f.listener.Close() // where nothing was served
}

// URL is the endpoint.
func (f *Front) URL() string { return "http://127.0.0.1:" + strconv.Itoa(f.Port()) }

// Port is the endpoint's port.
func (f *Front) Port() int { return f.listener.Addr().(*net.TCPAddr).Port }

// Config is for clients of the front; see emulators.Config.
func (f *Front) Config() aws.Config { return emulators.Config(f.URL()) }

// quiet is the log of what happens to connections that faults and the ends of
// tests cut.
var quiet = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
