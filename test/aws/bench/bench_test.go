package bench

import (
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/lambdahost"
	"github.com/sluicehq/sluice/test/aws/stack"
)

var jsonFile = flag.String("json", "", "file to write the figures to, such as measured.json")

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	defer stack.RemoveBuilt()
	return emulators.Run(m)
}

// TestBench measures if SLUICE_BENCH is set, and prints a report in Markdown. A
// short run is rough.
func TestBench(t *testing.T) {
	if os.Getenv("SLUICE_BENCH") == "" {
		t.Skip("set SLUICE_BENCH or run 'make bench-aws' to measure; it takes some minutes")
	}
	command, rounds, turns := "make bench-aws", 3, 60
	if testing.Short() {
		command, rounds, turns = command+" ARGS=-test.short", 1, 20
	}
	m := &Measured{
		Command: command, Date: time.Now().UTC().Format(time.DateOnly), Rounds: rounds, Load: load(),
		Machine: fmt.Sprintf("%d processors, %s, %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH),
	}
	s := newStage(t)
	m.Functions = s.functions()
	m.FullBatches = s.fullBatches()
	m.Publish = s.publishing(turns)
	m.Platform, m.PlatformPuts = s.platform(turns)
	m.Direct = s.direct()
	m.HotPath = s.hotPath(turns)
	m.CatchUp = s.catchUp(rounds)
	m.Load += " and " + load()
	_, _ = fmt.Fprint(os.Stdout, m.report())
	if *jsonFile == "" {
		return
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*jsonFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// load returns the machine's load average of the last minute, if available.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(text), " ")
	return average
}

// stage is a deployment with receivers, which use TLS as customers' do. The path
// of a call is its tenant.
type stage struct {
	*stack.Stack
	t         *testing.T
	began     time.Time
	receivers string       // URL
	taken     atomic.Int64 // calls
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, began: time.Now()}
	server := httptest.NewTLSServer(http.HandlerFunc(s.receive))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.receivers = server.URL
	root := filepath.Join(t.TempDir(), "root.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(root, text, 0o600); err != nil {
		t.Fatal(err)
	}
	// SSL_CERT_FILE makes the functions trust the receivers.
	s.Stack = stack.Deploy(t, stack.Options{Settings: map[string]string{"SSL_CERT_FILE": root}})
	return s
}

func (s *stage) register(tenant string, webhooks int) *client.Client {
	s.t.Helper()
	return s.Register(s.t, tenant, webhooks, s.receivers+"/"+tenant)
}

// say prints progress.
func (s *stage) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// invoke runs a function and fails the test if it fails.
func (s *stage) invoke(function string, payload []byte) lambdahost.Result {
	s.t.Helper()
	r, err := s.Host.Invoke(s.t.Context(), function, payload)
	if err != nil || r.FunctionError != "" {
		s.t.Fatalf("%s: %v, %s %s", function, err, r.FunctionError, r.Payload)
	}
	return r
}
