package aws

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/test/aws/stack"
	"github.com/sluicehq/sluice/test/scenario"
)

// world is a deployment with receivers for its tenants.
type world struct {
	*stack.Stack
	t          *testing.T
	s3         scenario.Bucketeer
	buckets    *s3mem.Backend // of s3
	quietAfter time.Duration
	hooks      string       // URL of the receivers
	restarts   sync.RWMutex // held for reading by a sweep that no restart may kill

	mu        sync.Mutex
	receivers map[string]*receiver // by path
}

// newWorld deploys with the settings of the scenarios and those given. The log of a
// failed test has the injected faults.
func newWorld(t *testing.T, o stack.Options) *world {
	t.Helper()
	env := maps.Clone(fast)
	maps.Copy(env, o.Settings)
	o.Settings = env
	w := &world{Stack: stack.Deploy(t, o), t: t, receivers: map[string]*receiver{}}
	w.s3, w.buckets = scenario.NewBucketeer(t)
	w.quietAfter = delivery.QuietAfter(inForce(t, w.Stack, env))
	server := httptest.NewServer(http.HandlerFunc(w.receive))
	w.hooks = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if t.Failed() {
			w.report(o.Seed)
		}
	})
	return w
}

// reported limits the faults, and reportedLog the bytes of the functions' log, that
// a failed test shows.
const (
	reportedFaults = 200
	reportedLog    = 16 << 10
)

func (w *world) report(seed uint64) {
	all := w.Front.Injected()
	w.t.Logf("seed %d; %d faults were injected", seed, len(all))
	for _, i := range all[max(0, len(all)-reportedFaults):] {
		w.t.Log(i)
	}
	reportLog(w.t, w.Stack)
}

// reportLog shows the end of what the functions logged, without what is expected.
func reportLog(t *testing.T, s *stack.Stack) {
	var unexpected strings.Builder
	for line := range strings.Lines(s.Log()) {
		if !strings.Contains(line, `"level":"DEBUG"`) && !strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, `"_aws"`) {
			unexpected.WriteString(line)
		}
	}
	text := unexpected.String()
	t.Logf("end of the functions' log:\n%s", text[max(0, len(text)-reportedLog):])
}

// eventually polls until ok, and reports whether that happened within the timeout.
func eventually(timeout time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return ok()
		}
	}
	return true
}

// until waits for ok; if that takes too long, it fails the test and ends the
// goroutine.
func (w *world) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !eventually(waitTimeout, ok) {
		fatal(t, "timed out after %v waiting until %s", waitTimeout, what)
	}
}

// fatal fails the test and ends the goroutine, which need not be the test's.
func fatal(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Errorf(format, args...)
	t.FailNow() // of any goroutine it ends that one alone; sideBySide waits for all
}

// sideBySide runs functions concurrently, at most n at a time.
func sideBySide(atOnce int, functions ...func()) {
	var g sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, f := range functions {
		slots <- struct{}{}
		g.Go(func() {
			defer func() { <-slots }()
			f()
		})
	}
	g.Wait()
}

// sleep waits for time that nothing can shorten: leases and margins.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// receive handles calls to all receivers.
func (w *world) receive(rw http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the caller is gone
	}
	w.mu.Lock()
	r := w.receivers[req.URL.Path]
	w.mu.Unlock()
	var e struct{ ID, Tenant, Name string }
	if r == nil || json.Unmarshal(body, &e) != nil || !strings.HasPrefix(req.URL.Path, "/"+e.Tenant+"/") {
		w.t.Errorf("unexpected call: %s %.200s", req.URL.Path, body)
		return
	}
	r.serve(rw, call{id: e.ID, name: e.Name, at: time.Now()})
}

// call is a call that a receiver got.
type call struct {
	id, name string
	at       time.Time
	status   int
}

// receiver accepts the events of one integration and records them.
type receiver struct {
	delay time.Duration

	mu     sync.Mutex
	answer func(n int, c call) int // n is 0 for its first call; nil: 200
	hold   chan struct{}           // unless nil, responses wait until it is closed
	calls  []call
}

func (w *world) newReceiver(tenant, name string) (*receiver, string) {
	r := &receiver{}
	w.mu.Lock()
	defer w.mu.Unlock()
	path := "/" + tenant + "/" + name
	w.receivers[path] = r
	return r, w.hooks + path
}

func (r *receiver) serve(rw http.ResponseWriter, c call) {
	r.mu.Lock()
	c.status = http.StatusOK
	if r.answer != nil {
		c.status = r.answer(len(r.calls), c)
	}
	r.calls = append(r.calls, c)
	delay, hold := r.delay, r.hold
	r.mu.Unlock()
	if hold != nil {
		<-hold
	}
	sleep(context.Background(), delay)
	rw.WriteHeader(c.status)
}

func (r *receiver) all() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

// taken returns how often each event was accepted.
func (r *receiver) taken() map[string]int {
	taken := map[string]int{}
	for _, c := range r.all() {
		if c.status/100 == 2 {
			taken[c.id]++
		}
	}
	return taken
}

// between counts the calls within a time span.
func (r *receiver) between(from, until time.Time) int {
	n := 0
	for _, c := range r.all() {
		if c.at.After(from) && c.at.Before(until) {
			n++
		}
	}
	return n
}

func (r *receiver) answers(f func(n int, c call) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// executions returns the executions with the status.
func (w *world) executions(t *testing.T, status types.ExecutionStatus) []types.ExecutionListItem {
	t.Helper()
	var all []types.ExecutionListItem
	pages := sfn.NewListExecutionsPaginator(w.SFN, &sfn.ListExecutionsInput{StateMachineArn: &w.StateMachine, StatusFilter: status})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Executions...)
	}
	return all
}

// objects returns the contents of a tenant's bucket.
func (w *world) objects(bucket string) []string {
	var texts []string
	list, err := w.buckets.ListBucket(bucket, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		w.t.Error(err)
		return nil
	}
	for _, o := range list.Contents {
		object, err := w.buckets.GetObject(bucket, o.Key, nil)
		if err != nil {
			w.t.Error(err)
			continue
		}
		text, err := io.ReadAll(object.Contents)
		_ = object.Contents.Close()
		if err != nil {
			w.t.Error(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}
