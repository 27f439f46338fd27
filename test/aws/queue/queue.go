// Package queue is an SQS queue in the test process, with the event source mapping by which
// Lambda invokes a function for each of its messages, on the timers of package time.
package queue

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
)

// Invoke runs a Lambda function. If the function fails, functionError is not empty. An
// err means that it did not run or that its response was lost. It returns when ctx ends.
type Invoke func(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)

// Options describe the queue and its mapping.
type Options struct {
	Invoke            Invoke
	Function          string
	VisibilityTimeout time.Duration // from a message's receipt to its next, unless it is deleted meanwhile
	MaxReceiveCount   int           // a message is dead afterwards
	AtOnce            int           // MaximumConcurrency
}

// Queue has messages, each in its own goroutine. As an http.Handler it serves SendMessage.
// Close ends it.
type Queue struct {
	o       Options
	slots   chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	messages map[int]message // that are not deleted, by number
	sent     int
	dead     []string
}

type message struct {
	body string
	wait context.Context // ends when the message is deleted
	end  context.CancelFunc
}

// New returns an empty queue.
func New(o Options) *Queue {
	q := &Queue{o: o, slots: make(chan struct{}, o.AtOnce), messages: map[int]message{}}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// Close ends invocations and drops all messages.
func (q *Queue) Close() {
	q.cancel()
	q.running.Wait()
}

// Waiting returns how many messages that contain the text are on the queue, be they delayed, with
// the function, or waiting to be given out again.
func (q *Queue) Waiting(text string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, m := range q.messages {
		if strings.Contains(m.body, text) {
			n++
		}
	}
	return n
}

// Purge deletes all messages, and returns how many. Invocations with some of them go on.
func (q *Queue) Purge() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.messages)
	for _, m := range q.messages {
		m.end()
	}
	clear(q.messages)
	return n
}

// Dead returns the messages that the function could not be invoked with.
func (q *Queue) Dead() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]string(nil), q.dead...)
}

// ServeHTTP serves SendMessage, with the limits of AWS that a test could meet.
func (q *Queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		MessageBody, MessageGroupID string // encoding/json ignores case
		DelaySeconds                int
	}
	err := json.NewDecoder(r.Body).Decode(&m)
	refused := ""
	switch {
	case err != nil || r.Header.Get("X-Amz-Target") != "AmazonSQS.SendMessage":
		refused = "InvalidAction"
	case m.DelaySeconds < 0 || m.DelaySeconds > 900 || m.MessageBody == "" || m.MessageGroupID == "" || len(m.MessageGroupID) > 128:
		refused = "InvalidParameterValue"
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if refused != "" {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.sqs#" + refused}) // the client is gone, if anything
		return
	}
	number := q.send(m.MessageBody, time.Duration(m.DelaySeconds)*time.Second)
	sum := md5.Sum([]byte(m.MessageBody)) // which SQS returns, and its clients verify
	_ = json.NewEncoder(w).Encode(map[string]string{"MessageId": strconv.Itoa(number), "MD5OfMessageBody": hex.EncodeToString(sum[:])})
}

func (q *Queue) send(body string, delay time.Duration) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent++
	number := q.sent
	if q.ctx.Err() != nil {
		return number
	}
	m := message{body: body}
	m.wait, m.end = context.WithCancel(q.ctx)
	q.messages[number] = m
	q.running.Go(func() {
		defer m.end()
		if backoff.Wait(m.wait, delay) == nil {
			q.give(number, m)
		}
	})
	return number
}

// give invokes the function with a message until it succeeds.
func (q *Queue) give(number int, m message) {
	event, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{ // strings alone
		"messageId": strconv.Itoa(number), "body": m.body, "eventSource": "aws:sqs",
	}}})
	for range q.o.MaxReceiveCount {
		select {
		case q.slots <- struct{}{}:
		case <-m.wait.Done():
			return
		}
		again := time.Now().Add(q.o.VisibilityTimeout)
		_, functionError, err := q.o.Invoke(q.ctx, q.o.Function, event)
		<-q.slots
		if err == nil && functionError == "" {
			q.remove(number, "")
			return
		}
		if backoff.Wait(m.wait, time.Until(again)) != nil {
			return
		}
	}
	q.remove(number, m.body)
}

func (q *Queue) remove(number int, dead string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.messages, number)
	if dead != "" {
		q.dead = append(q.dead, dead)
	}
}
