package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/settings"
)

// pending is a publisher whose calls wait until they are let go, except those of a
// tenant named fourth.
type pending struct {
	came chan string // the tenant of each call
	done chan struct{}
}

func (p *pending) Publish(_ context.Context, c publish.Call) ([]string, error) {
	tenant := c.Tenant
	if tenant != "fourth" {
		p.came <- tenant
		<-p.done
	}
	if tenant == "panics" {
		panic("at the log")
	}
	return []string{uuidA}, nil
}

// withMemory sets up an API whose bodies share some memory, and whose publishes wait.
func withMemory(size int64) (*world, *pending) {
	w := setup()
	p := &pending{make(chan string, 100), make(chan struct{})}
	w.deps.Publisher = p
	w.deps.Settings.MaxBodyMemory = size
	w.api = httpapi.New(w.deps)
	return w, p
}

// event returns one with a body of about the given size.
func eventOf(size int) string {
	return `{"name":"order.created","payload":{"x":"` + strings.Repeat("x", size) + `"}}`
}

// A tenant whose calls hold their share is refused, with a Retry-After; others are not. What
// was held comes back however a call ends.
func TestBodiesShareTheirMemory(t *testing.T) {
	w, p := withMemory(1_000_000)
	publishing := func(tenant string) call { return post(events, eventOf(100_000)).as(tenant + all) }
	var calls sync.WaitGroup
	start := func(tenant string) {
		t.Helper()
		calls.Go(func() { w.api.ServeHTTP(httptest.NewRecorder(), publishing(tenant).request()) })
		if got := <-p.came; got != tenant {
			t.Fatalf("a call of %s came, want %s", got, tenant)
		}
	}
	start("acme")
	start("acme") // 400 KB of 1 MB, with their written form: another one would be more than is left
	rec := w.do(t, publishing("acme"))
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "SLUICE_MAX_BODY_MEMORY") {
		t.Errorf("a third call of a tenant: %d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	start("panics")
	w.wantError(t, 503, problem.Unavailable, "SLUICE_MAX_BODY_MEMORY", publishing("third"))
	small := post(events, eventOf(10)).as("third" + all)
	calls.Go(func() { w.want(t, 202, small) })
	<-p.came
	registration := func(id string) call {
		return post(base, strings.Replace(webhook, `"hook"`, `"`+id+`"`+strings.Repeat(" ", 30_000), 1)).as("fourth" + all)
	}
	w.wantError(t, 503, problem.Unavailable, "SLUICE_MAX_BODY_MEMORY", registration("decoded-it-takes-more"))
	w.wantError(t, 503, problem.Unavailable, "SLUICE_MAX_BODY_MEMORY", // a thousand events take more than their text
		post(events, `{"events":[`+strings.Repeat(`{"name":"a.b","payload":{}},`, 1000)+`]}`).as("fourth"+all))
	close(p.done)
	calls.Wait()
	w.want(t, 202, publishing("acme"))
	w.want(t, 200, registration("first"))
	w.want(t, 200, registration("second"))
}

// watched is a ResponseWriter that tells when the answer begins.
type watched struct {
	*httptest.ResponseRecorder
	begins func()
}

func (w watched) WriteHeader(status int) {
	w.begins()
	w.ResponseRecorder.WriteHeader(status)
}

// A caller who is slow to take an answer holds no memory for the body meanwhile.
func TestAnAnsweredCallHoldsNothing(t *testing.T) {
	w, p := withMemory(1_000_000)
	close(p.done)
	for _, c := range []call{post(events, eventOf(200_000)), post(base, "{"+strings.Repeat(" ", 30_000))} {
		w.api.ServeHTTP(watched{httptest.NewRecorder(), func() { w.want(t, 202, post(events, eventOf(200_000))) }}, c.request())
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, "      "), nil }

// A body whose length nobody knows is refused where its tenant may hold no more of it.
func TestABodyOfUnknownLengthIsCharged(t *testing.T) {
	w, _ := withMemory(300_000)
	for range 3 { // the refused leave nothing behind
		r := post(events, "").request()
		r.Body, r.ContentLength = io.NopCloser(endless{}), -1
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		if rec.Code != 503 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
}

// slow is a body that has sent the first bytes of it.
type slow struct {
	first *strings.Reader
	more  chan struct{}
}

func (s slow) Read(b []byte) (int, error) {
	if n, err := s.first.Read(b); n > 0 {
		return n, err
	}
	s.more <- struct{}{}
	<-s.more
	return 0, io.ErrUnexpectedEOF
}

// A body that is announced and has not come holds next to nothing, and one of which a part
// has come not many times that.
func TestABufferGrowsWithWhatArrives(t *testing.T) {
	const calls = 20
	for sent, most := range map[int]int64{0: 16 << 10, 100_000: 600_000} {
		w, _ := withMemory(1 << 30)
		bodies := make([]slow, calls)
		var ended sync.WaitGroup
		before := heapInUse()
		for i := range bodies {
			bodies[i] = slow{strings.NewReader(strings.Repeat(" ", sent)), make(chan struct{})}
			ended.Go(func() {
				r := post(events, "").request()
				r.Body, r.ContentLength = io.NopCloser(bodies[i]), 5_000_000
				rec := httptest.NewRecorder()
				w.api.ServeHTTP(rec, r)
				if rec.Code != 400 {
					t.Errorf("a body that was cut off: %d %s", rec.Code, rec.Body)
				}
			})
			<-bodies[i].more
		}
		if each := (heapInUse() - before) / calls; each > most {
			t.Errorf("a call that has sent %d of 5,000,000 bytes holds %d", sent, each)
		}
		for _, b := range bodies {
			b.more <- struct{}{}
		}
		ended.Wait()
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Every length up to a few buffers, told before or not, arrives as it was sent.
func TestBodiesOfEveryLengthArriveWhole(t *testing.T) {
	w := setup()
	w.deps.Publisher = echo{}
	w.api = httpapi.New(w.deps)
	text := bytes.Repeat([]byte("0123456789abcde"), 10_000)
	for _, length := range []int{0, 1, 4095, 4096, 4097, 16383, 16384, 16385, 65536, 100_000} {
		for _, told := range []int64{int64(length), -1} {
			r := post(events, "").request()
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text[:length])), told
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, r)
			if want := fmt.Sprintf(`{"events":[{"id":"%x"}]}`, text[:length]); rec.Body.String() != want {
				t.Errorf("a body of %d bytes, told as %d, arrived as %d characters", length, told, rec.Body.Len())
			}
		}
	}
	r := post(events, "").request()
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), 5
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	if rec.Code != 400 {
		t.Errorf("a body longer than its Content-Length: %d", rec.Code)
	}
}

// echo is a publisher that returns the body as an id.
type echo struct{}

// refusing is a publisher that refuses every call.
type refusing struct{ err error }

func (r refusing) Publish(context.Context, publish.Call) ([]string, error) { return nil, r.err }

func (echo) Publish(_ context.Context, c publish.Call) ([]string, error) {
	body := c.Body
	return []string{fmt.Sprintf("%x", body)}, nil
}

// A caller that announces a body and does not send it is answered, where nobody wants it.
func TestAnAnswerDoesNotWaitForABodyThatNobodyReads(t *testing.T) {
	server := httptest.NewServer(setup().api)
	defer server.Close()
	var calls sync.WaitGroup
	defer calls.Wait()
	for line, want := range map[string]int{
		"POST " + events + " HTTP/1.1": http.StatusUnauthorized, "GET /healthz HTTP/1.1": http.StatusOK,
		"POST /nowhere HTTP/1.1": http.StatusNotFound, "PUT " + base + " HTTP/1.1": http.StatusMethodNotAllowed,
	} {
		for _, body := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			calls.Go(func() {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = conn.Close() }()
				_, _ = fmt.Fprintf(conn, "%s\r\nHost: x\r\n%s\r\n\r\n", line, body)
				_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // the server would wait without end
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != want {
					t.Errorf("%s, %s: %v, %v; want %d", line, body, res, err, want)
					return
				}
				_ = res.Body.Close()
			})
		}
	}
}

// The largest call that the settings allow fits into what a tenant may hold.
func TestTheLargestCallFits(t *testing.T) {
	w := setup()
	s := settings.Default()
	s.MaxPublishBytes, s.MaxPublishEvents, s.MaxEventBytes, s.MaxBodyMemory = 1<<20, 500, 1<<20, 4<<20+500<<11
	if errs := s.Validate(); len(errs) != 0 {
		t.Fatal(errs)
	}
	w.deps.Settings, w.deps.Publisher = s, publish.New(w.log, s)
	w.api = httpapi.New(w.deps)
	line := `{"name":"order.created","payload":{"a":[` + strings.Repeat("{},", 300) + `{}]}}`
	body := strings.Repeat(line+"\n", 500)
	body += strings.Repeat(" ", 1<<20-len(body))
	w.want(t, 202, call{method: "POST", path: events, media: "application/x-ndjson", body: body})
}
