package scenario

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// event is an event as it arrives.
type event struct {
	ID          string          `json:"id"`
	Tenant      string          `json:"tenant"`
	Name        string          `json:"name"`
	PublishedAt string          `json:"published_at"`
	Payload     json.RawMessage `json:"payload"`
}

// at is when it was published.
func (e *event) at(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, e.PublishedAt)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// sent is when the service made the call, by its header, in whole seconds.
func (a *arrival) sent(t *testing.T) time.Time {
	t.Helper()
	seconds, err := strconv.ParseInt(a.header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0)
}

// arrival is a call that a receiver got.
type arrival struct {
	event
	at      time.Time
	path    string
	header  http.Header
	body    []byte
	attempt int
	status  int // of its response; 0: none yet
}

// receiver is a webhook receiver that remembers what arrives.
type receiver struct {
	t      *testing.T
	env    *Env
	tenant string
	URL    string
	addr   string
	server *httptest.Server

	mu       sync.Mutex
	answer   func(*arrival) int
	handler  http.HandlerFunc // runs instead of answer, where set
	arrivals []*arrival
}

// newReceiver serves a receiver for a tenant's events. It returns 200.
func newReceiver(c *tenant) *receiver {
	r := &receiver{t: c.t, env: c.env, tenant: c.name}
	r.listen("127.0.0.1:0")
	*c.receivers = append(*c.receivers, r)
	return r
}

func (r *receiver) listen(addr string) {
	r.t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(r.t.Context(), "tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	_ = r.server.Listener.Close()
	r.server.Listener = ln
	r.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.server.Start()
	r.URL, r.addr = r.server.URL, ln.Addr().String()
	if r.env.ReceiverURL != nil {
		r.URL = r.env.ReceiverURL(r.URL)
	}
}

// close refuses connections from now on.
func (r *receiver) close() {
	r.server.CloseClientConnections()
	r.server.Close()
}

// answers makes it respond with what f returns; 0 closes the connection without
// a response. f is called for one arrival at a time, and must not block.
func (r *receiver) answers(f func(*arrival) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// status makes it respond with a status, always.
func (r *receiver) status(code int) { r.answers(func(*arrival) int { return code }) }

// handles makes h respond. Arrivals are still recorded.
func (r *receiver) handles(h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handler = h
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	a := &arrival{at: time.Now(), path: req.URL.RequestURI(), header: req.Header.Clone()}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the service cancelled the call
	}
	a.body = body
	if err := r.check(req, a); err != nil {
		r.t.Errorf("unexpected call: %v; %s %s %v %s", err, req.Method, req.URL, req.Header, body)
	}
	r.mu.Lock()
	handler, status := r.handler, 0
	if handler == nil {
		status = http.StatusOK
		if r.answer != nil {
			status = r.answer(a)
		}
	}
	a.status = status
	r.arrivals = append(r.arrivals, a)
	r.mu.Unlock()
	switch {
	case handler != nil:
		handler(w, req)
	case status == 0:
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(status)
	}
}

// check has the rules for every call.
func (r *receiver) check(req *http.Request, a *arrival) error {
	var err error
	if a.attempt, err = strconv.Atoi(a.header.Get("Sluice-Attempt")); err != nil || a.attempt < 1 {
		return fmt.Errorf("the attempt is %q", a.header.Get("Sluice-Attempt"))
	}
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a.event); err != nil {
		return err
	}
	switch {
	case req.Method != http.MethodPost:
		return fmt.Errorf("the method is %s", req.Method)
	case a.Tenant != r.tenant:
		return fmt.Errorf("its tenant is %s, want %s", a.Tenant, r.tenant)
	case a.header.Get("Webhook-Id") != a.ID:
		return fmt.Errorf("webhook-id is %s", a.header.Get("Webhook-Id"))
	case !timestamp.MatchString(a.PublishedAt):
		return fmt.Errorf("published_at is %s", a.PublishedAt)
	}
	return nil
}

// all are the calls so far.
func (r *receiver) all() []*arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.arrivals)
}

// attempts returns the attempt numbers of an event's calls, in order. Delivery is at
// least once, and a call whose outcome could not be saved is repeated under the same
// number, so repeats are left out.
func (r *receiver) attempts(id string) []int {
	var list []int
	for _, a := range r.all() {
		if a.ID == id {
			list = append(list, a.attempt)
		}
	}
	return slices.Compact(list)
}

// taken are the ids of the events that got a 2xx, in order.
func (r *receiver) taken() []string {
	var ids []string
	for _, a := range r.all() {
		if a.status >= 200 && a.status <= 299 {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// has waits until every one of the events was taken.
func (r *receiver) has(ids []string) {
	r.t.Helper()
	what := func() string {
		return fmt.Sprintf("%d events arrived; missing are %d: %.200v", len(ids), len(missing(ids, r.taken())), missing(ids, r.taken()))
	}
	r.env.eventually(r.t, what, func() bool { return len(missing(ids, r.taken())) == 0 })
}

// hasOnly waits until the events were taken, and fails if there are others.
// That one comes twice is allowed.
func (r *receiver) hasOnly(ids []string) {
	r.t.Helper()
	r.has(ids)
	wantSame(r.t, ids, r.taken())
}

// missing are the wanted ids that are not there.
func missing(wanted, there []string) []string {
	set := make(map[string]bool, len(there))
	for _, id := range there {
		set[id] = true
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(id string) bool { return set[id] })
}

// wantSame compares two lists without their order and repeats.
func wantSame(t *testing.T, want, got []string) {
	t.Helper()
	set := func(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }
	if diff := cmp.Diff(set(want), set(got)); diff != "" {
		t.Errorf("not the events that should have arrived (-want +got):\n%s", diff)
	}
}

// calls waits until there are n calls, and returns all.
func (r *receiver) calls(n int) []*arrival {
	r.t.Helper()
	r.env.eventually(r.t, func() string { return fmt.Sprintf("%d calls, after %d", n, len(r.all())) },
		func() bool { return len(r.all()) >= n })
	return r.all()
}

// find returns the first arrival of an event.
func (r *receiver) find(id string) *arrival {
	r.t.Helper()
	all := r.all()
	i := slices.IndexFunc(all, func(a *arrival) bool { return a.ID == id })
	if i < 0 {
		r.t.Fatalf("event %s did not arrive", id)
	}
	return all[i]
}

// sign is the signature of Standard Webhooks, version 1.
func sign(key []byte, a *arrival) string {
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", a.header.Get("Webhook-Id"), a.header.Get("Webhook-Timestamp"), a.body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// witness registers a webhook integration that gets every event of the tenant,
// to tell by when others should have had one.
func (c *tenant) witness() *receiver {
	c.t.Helper()
	r := newReceiver(c)
	c.register("witness", callback(r.URL))
	return r
}
