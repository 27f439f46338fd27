package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// sink is a receiver, or a bucket, that counts what it took.
type sink struct {
	mu      sync.Mutex
	taken   map[string]int // by event id
	begun   map[string]int // calls, with a response or not
	retried int            // calls with an attempt beyond the first
	delay   time.Duration
	failing int  // one of so many calls gets a 503; 0: none
	hanging bool // calls get no response
	url     string
}

func newSink(t *testing.T) *sink {
	s := &sink{taken: map[string]int{}, begun: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	s.mu.Lock()
	s.begun[r.Header.Get("Webhook-Id")]++
	delay, hanging := s.delay, s.hanging
	s.mu.Unlock()
	if hanging {
		<-r.Context().Done()
		return
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return // the call was cut short
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if attempt, _ := strconv.Atoi(r.Header.Get("Sluice-Attempt")); attempt != 1 {
		s.retried++
	}
	if s.failing > 0 && rand.IntN(s.failing) == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.taken[r.Header.Get("Webhook-Id")]++
}

// lacks is how many of the events it has not taken.
func (s *sink) lacks(ids []string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, id := range ids {
		if s.taken[id] == 0 {
			n++
		}
	}
	return n
}

// repeats is how many calls more than one for each event it took.
func (s *sink) repeats() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return excess(s.taken)
}

// called is how many calls it got, whether they lasted or not, and how many
// more than one for each event.
func (s *sink) called() (n, again int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.begun {
		n += times
	}
	return n, excess(s.begun)
}

func excess(counts map[string]int) int {
	n := 0
	for _, times := range counts {
		n += times - 1
	}
	return n
}

// most is how often it took the event that it took most often.
func (s *sink) most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Max(append(slices.Collect(maps.Values(s.taken)), 0))
}

var lineID = regexp.MustCompile(`"id":"([0-9a-f-]{36})"`)

// readBucket counts the events in the files of a bucket.
func (s *sink) readBucket(t *testing.T, backend *s3mem.Backend, bucket string) {
	t.Helper()
	list, err := backend.ListBucket(bucket, nil, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]int{}
	for _, item := range list.Contents {
		object, err := backend.GetObject(bucket, item.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(object.Contents)
		_ = object.Contents.Close()
		if err != nil || len(content) == 0 || content[len(content)-1] != '\n' {
			t.Fatalf("%s is not whole: %d bytes, %v", item.Key, len(content), err)
		}
		for line := range bytes.Lines(content) {
			id := lineID.FindSubmatch(line)
			if id == nil {
				t.Fatalf("%s has the line %q", item.Key, line)
			}
			taken[string(id[1])]++
		}
	}
	s.mu.Lock()
	s.taken = taken
	s.mu.Unlock()
}

// load publishes until its end, whatever becomes of the node, and remembers
// what was acknowledged.
type load struct {
	client *client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	acked []string
}

// maxLoad bounds how much is published in a test.
const maxLoad = 12000

func startLoad(t *testing.T, c *client, publishers int) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{client: c, cancel: cancel}
	for range publishers {
		l.wg.Go(func() { l.publish(ctx) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) publish(ctx context.Context) {
	for ctx.Err() == nil && len(l.all()) < maxLoad {
		ids, status, err := l.client.publish(ctx, 1+rand.IntN(20), `{"text":"`+fmt.Sprintf("%0*d", rand.IntN(300), 7)+`"}`)
		if err == nil && status == http.StatusAccepted {
			l.mu.Lock()
			l.acked = append(l.acked, ids...)
			l.mu.Unlock()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (l *load) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.acked)
}

// end ends the publishing. It may be called more than once.
func (l *load) end() {
	l.cancel()
	l.wg.Wait()
}
