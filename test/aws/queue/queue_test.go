package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// send sends a message as a client does, and returns the response's status.
func send(q *Queue, body, group string, delay int) int {
	text, _ := json.Marshal(map[string]any{"MessageBody": body, "MessageGroupId": group, "DelaySeconds": delay})
	r := httptest.NewRequest("POST", "/", strings.NewReader(string(text)))
	r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	w := httptest.NewRecorder()
	q.ServeHTTP(w, r)
	return w.Code
}

// A message is given out after its delay, and again after the visibility timeout, until the
// function succeeds or has failed too often.
func TestMessagesAreGivenOutUntilTheFunctionSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var calls []string
		q := New(Options{
			Function: "f", VisibilityTimeout: 200 * time.Second, MaxReceiveCount: 3, AtOnce: 2,
			Invoke: func(_ context.Context, function string, payload []byte) ([]byte, string, error) {
				var event struct{ Records []struct{ Body string } }
				if err := json.Unmarshal(payload, &event); err != nil {
					return nil, "", err
				}
				body := event.Records[0].Body
				mu.Lock()
				calls = append(calls, fmt.Sprint(function, " ", body, " ", time.Since(began).Seconds()))
				n := len(calls)
				mu.Unlock()
				time.Sleep(10 * time.Second)
				switch {
				case body == "bad":
					return nil, "Unhandled", nil
				case n == 1:
					return nil, "", errors.New("the response is lost")
				}
				return nil, "", nil
			},
		})
		defer q.Close()
		if code := send(q, "good", "acme", 5); code != 200 || q.Waiting("goo") != 1 {
			t.Fatalf("%d, and %d wait", code, q.Waiting("goo"))
		}
		time.Sleep(time.Hour)
		if code := send(q, "bad", "acme", 0); code != 200 {
			t.Fatal(code)
		}
		time.Sleep(time.Hour)
		want := "[f good 5 f good 205 f bad 3600 f bad 3800 f bad 4000]"
		mu.Lock()
		got := fmt.Sprint(calls)
		mu.Unlock()
		if got != want || q.Waiting("") != 0 || fmt.Sprint(q.Dead()) != "[bad]" {
			t.Errorf("calls %s, want %s; %d wait, dead %v", got, want, q.Waiting(""), q.Dead())
		}
	})
}

// A purge deletes what waits.
func TestPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{AtOnce: 1, MaxReceiveCount: 1, Invoke: func(context.Context, string, []byte) ([]byte, string, error) {
			t.Error("a purged message was given out")
			return nil, "", nil
		}})
		defer q.Close()
		send(q, "x", "acme", 10)
		if n := q.Purge(); n != 1 || q.Waiting("") != 0 {
			t.Errorf("%d purged, %d wait", n, q.Waiting(""))
		}
		time.Sleep(time.Minute)
	})
}

// It refuses what SQS does.
func TestRefusals(t *testing.T) {
	q := New(Options{AtOnce: 1})
	defer q.Close()
	for name, code := range map[string]int{
		"a delay of over 15 minutes": send(q, "x", "acme", 901),
		"a long group":               send(q, "x", strings.Repeat("a", 129), 0),
		"no body":                    send(q, "", "acme", 0),
	} {
		if code != 400 || q.Waiting("") != 0 {
			t.Errorf("%s: %d", name, code)
		}
	}
}
