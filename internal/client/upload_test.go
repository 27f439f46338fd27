package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// serve returns a client of a server with the given handler.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(server.URL, "token", false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// accept responds to a publish call with an id for each line.
func accept(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	ids := strings.Repeat(`,{"id":"x"}`, strings.Count(string(body), "\n"))
	_, _ = fmt.Fprintf(w, `{"events":[%s]}`, ids[1:])
}

// A call that an interrupt ends is not taken for published: the rest begins with its
// events, and the caller learns that new ids may repeat them.
func TestInterruptedCallIsNotTakenForPublished(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	u := Upload{Client: c, Published: func(ids []string) { t.Errorf("published %v", ids) }}
	err := u.Run(ctx, NewReader(strings.NewReader("\n{}\n{}\n"), 1))
	stop, ok := errors.AsType[*ResumeError](err)
	if !ok || !errors.Is(err, context.Canceled) || stop.Place != (Place{Number: 2}) || !stop.Unsure || !stop.MadeIDs {
		t.Errorf("got %#v, want to resume at line 2, unsure", err)
	}
}

// Where the input cannot be read on, what was read is published, and the rest begins
// right after it.
func TestUploadResumesAfterTheLastEventItCouldRead(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, c := range []struct {
		name, input string
		from        int
		want        Place
		published   int
	}{
		{"lines", "{}\n\n{}\n", 1, Place{Number: 4}, 2},
		{"an event over lines", "{\n}\n{\n}\n", 1, Place{Number: 5}, 2},
		{"array", "[{},\n{},\n", 1, Place{3, true}, 2},
		{"before the line to start at", "{}\n", 9, Place{Number: 9}, 0},
		{"before the event to start at", "[{},", 9, Place{9, true}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			published := 0
			u := Upload{Client: serve(t, accept), Published: func(ids []string) { published += len(ids) }}
			in := io.MultiReader(strings.NewReader(c.input), iotest.ErrReader(broken))
			err := u.Run(t.Context(), NewReader(in, c.from))
			stop, ok := errors.AsType[*ResumeError](err)
			if !ok || !errors.Is(err, broken) || stop.Place != c.want || published != c.published {
				t.Errorf("published %d, then %v at %v; want %d and to resume at %v", published, err, stop, c.published, c.want)
			}
		})
	}
}

// A response that ends too early tells nothing: the call may have taken effect.
func TestCutOffResponseIsUnreachable(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"events":[`))
	})
	_, err := c.Publish(t.Context(), []byte("{}\n"))
	if e, ok := errors.AsType[*UnreachableError](err); !ok || !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an UnreachableError", err)
	}
}

// What names no API is refused before a call, and a password in it is not repeated.
func TestNewRefusesWhatIsNoURL(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:8080", "http://", "ftp://host", "http://a b", "http://user:hunter2@host", "http://host?x=1", "http://host#x"} {
		if _, err := New(base, "", false); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want a refusal", base, err)
		}
	}
}

// A service that responded once and then hangs up is called again: it is the right one.
func TestServiceThatWasReachedIsTriedAgain(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n := calls.Add(1); n == 2 || n == 3 { // net/http repeats the first of them at once
			panic(http.ErrAbortHandler)
		}
		accept(w, r)
	})
	published, waits := 0, 0
	u := Upload{
		Client: c, Published: func(ids []string) { published += len(ids) },
		Sleep: func(context.Context, time.Duration) error { waits++; return nil },
	}
	if err := u.Run(t.Context(), NewReader(strings.NewReader(strings.Repeat("{}\n", callEvents+1)), 1)); err != nil {
		t.Fatal(err)
	}
	if published != callEvents+1 || waits != 1 {
		t.Errorf("published %d after %d waits, want %d after one", published, waits, callEvents+1)
	}
}

// Every try of a call has its key, so that the service does it once although a response was
// lost; every call has another.
func TestEveryTryOfACallHasItsKey(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		switch len(keys) {
		case 2: // the call is done, and its response is lost
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		case 3:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"error_code":"idempotency_in_progress","message":"Wait.","request_id":"r"}`)
		case 4:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			accept(w, r)
		}
	})
	var slept []time.Duration
	u := Upload{Client: c, Sleep: func(_ context.Context, d time.Duration) error { slept = append(slept, d); return nil }}
	if err := u.Run(t.Context(), NewReader(strings.NewReader(strings.Repeat("{}\n", 3*callEvents)), 1)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(keys) != 6 || len(keys[0]) < 20 || keys[1] != keys[2] || keys[1] != keys[3] || keys[1] != keys[4] ||
		keys[0] == keys[1] || keys[1] == keys[5] || keys[0] == keys[5] {
		t.Errorf("the tries had the keys %q; want the same for the second to the fifth alone", keys)
	}
	// net/http itself repeats a request with this header whose connection was closed.
	if len(slept) != 2 || slept[0] < 7*time.Second {
		t.Errorf("slept %v, want the Retry-After of the call in progress, and once more", slept)
	}
}

// A key that belongs to another body is no reason to wait.
func TestOtherConflictsAreNotTriedAgain(t *testing.T) {
	tries := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		tries++
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"error_code":"idempotency_mismatch","message":"No.","request_id":"r"}`)
	})
	u := Upload{Client: c, Sleep: func(context.Context, time.Duration) error { return nil }}
	if err := u.Run(t.Context(), NewReader(strings.NewReader("{}\n"), 1)); err == nil || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}
