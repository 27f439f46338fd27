package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
)

// stream is a fake data stream.
type stream struct {
	t *testing.T
	// fails returns the error of a call, or whether an entry fails. nil: nothing does.
	fails func(call int, e event.Event) (entry bool, err error)
	delay time.Duration // of a call

	mu     sync.Mutex
	calls  int
	atOnce int
	most   int // calls at once
	keys   []string
	events []event.Event
}

func (s *stream) PutRecords(_ context.Context, in *sdk.PutRecordsInput, _ ...func(*sdk.Options)) (*sdk.PutRecordsOutput, error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.atOnce++
	s.most = max(s.most, s.atOnce)
	s.mu.Unlock()
	time.Sleep(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atOnce--
	size := 0
	out := &sdk.PutRecordsOutput{Records: make([]types.PutRecordsResultEntry, len(in.Records))}
	for i, entry := range in.Records {
		size += len(entry.Data) + len(*entry.PartitionKey)
		r, err := kinesis.Decode(*entry.PartitionKey, entry.Data)
		if err != nil {
			s.t.Error(err)
		}
		if s.fails != nil {
			failed, err := s.fails(call, r.Events[0])
			if err != nil {
				return nil, err
			}
			if failed {
				out.Records[i].ErrorCode = aws.String("ProvisionedThroughputExceededException")
				continue
			}
		}
		s.keys = append(s.keys, *entry.PartitionKey)
		s.events = append(s.events, r.Events...)
	}
	if len(in.Records) > 500 || size > 5<<20 || *in.StreamName != "events" {
		s.t.Errorf("a call of %d records, %d bytes, for %s", len(in.Records), size, *in.StreamName)
	}
	return out, nil
}

// bubble runs a test in virtual time, with a producer for a fake stream.
func bubble(t *testing.T, test func(t *testing.T, p *Producer, s *stream)) {
	t.Helper()
	warm := kinesis.Encode([]event.Event{event.Draft{ID: "a", Name: "a.b", Payload: []byte("{}")}.Stamp("a", time.UnixMilli(1))})
	if _, err := kinesis.Decode("0#a", warm); err != nil { // its coders belong to no bubble
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &stream{t: t}
		p := New(s, "events")
		test(t, p, s)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func of(tenant string, n int) Event {
	return Event{
		Tenant: tenant, ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), Name: "order.created",
		Payload: json.RawMessage(fmt.Sprintf(`{ "n": %d, "a": "<&>" }`, n)),
	}
}

func (s *stream) ids() (ids []string) {
	for _, e := range s.events {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

// The records are those of the API: what fanout appends is the event that it would have put.
func TestEventsAreOnTheStreamAsTheAPIPutsThem(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		if err := p.Publish(t.Context(), of("acme", 1), of("globex", 2), of("acme", 3)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"0#acme", "0#globex"}, s.keys); diff != "" {
			t.Errorf("partition keys (-want +got):\n%s", diff)
		}
		want := event.Draft{ID: of("acme", 1).ID, Tenant: "acme", Name: "order.created", Payload: []byte(`{"n":1,"a":"<&>"}`)}.Stamp("", s.events[0].PublishedAt)
		if diff := cmp.Diff(want, s.events[0]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if ago := time.Since(s.events[0].PublishedAt); ago > time.Second {
			t.Errorf("it was published %v ago", ago)
		}
	})
}

func TestConcurrentCallsShareARequest(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		var calls sync.WaitGroup
		for i := range 1000 {
			calls.Go(func() {
				if err := p.Publish(t.Context(), of("acme", i)); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		if s.calls != 1 || len(s.keys) != 1 || len(s.events) != 1000 {
			t.Errorf("%d requests with %d records and %d events", s.calls, len(s.keys), len(s.events))
		}
	})
}

func TestMoreThanARequestHolds(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		s.delay = time.Second
		var events []Event
		for i := range 1200 { // of so many tenants, a record each
			events = append(events, of(fmt.Sprint("t", i), i))
		}
		for i := range 100 { // 25 MB
			e := of("large", 2000+i)
			e.Payload = json.RawMessage(`{"a":"` + strings.Repeat("x", 250_000) + `"}`)
			events = append(events, e)
		}
		if err := p.Publish(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		if len(s.events) != len(events) {
			t.Errorf("%d events are in the stream, want %d", len(s.events), len(events))
		}
		if s.most < 2 || s.most > batchesAtOnce {
			t.Errorf("%d requests at once", s.most)
		}
	})
}

func TestWhatFailsIsPutAgain(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		s.fails = func(call int, e event.Event) (bool, error) {
			if call == 2 {
				return false, &types.LimitExceededException{}
			}
			return call < 4 && e.Tenant == "acme", nil
		}
		if err := p.Publish(t.Context(), of("acme", 1), of("globex", 2)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{of("", 1).ID, of("", 2).ID}, s.ids()); diff != "" {
			t.Errorf("each once (-want +got):\n%s", diff)
		}
	})
}

func TestWhatTheStreamDoesNotAcceptIsNamed(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		s.fails = func(_ int, e event.Event) (bool, error) { return e.Tenant == "acme", nil }
		var other error
		var calls sync.WaitGroup
		calls.Go(func() { other = p.Publish(t.Context(), of("globex", 9)) })
		synctest.Wait() // it is the first of the batch
		err := p.Publish(t.Context(), of("globex", 0), of("acme", 1), of("globex", 2), of("acme", 3))
		calls.Wait()
		refused, ok := errors.AsType[*NotAcceptedError](err)
		if !ok || !slices.Equal(refused.Indices, []int{1, 3}) || !strings.Contains(err.Error(), "ProvisionedThroughputExceeded") {
			t.Errorf("%v, want the events 1 and 3", err)
		}
		if other != nil {
			t.Errorf("another call of the batch: %v", other)
		}
	})
}

func TestInvalidEventsAreNotPut(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		for want, change := range map[string]func(*Event){
			"event 1 of the call, counted from 0: tenant is not a valid tenant":  func(e *Event) { e.Tenant = "" },
			"event 1 of the call, counted from 0: name ":                         func(e *Event) { e.Name = "Order" },
			"event 1 of the call, counted from 0: id ":                           func(e *Event) { e.ID = "7" },
			"event 1 of the call, counted from 0: payload must be a JSON object": func(e *Event) { e.Payload = nil },
			"event 1 of the call, counted from 0: payload is not valid JSON":     func(e *Event) { e.Payload = json.RawMessage(`{`) },
			"event 1 of the call, counted from 0: The event has 262":             func(e *Event) { e.Payload = json.RawMessage(`{"a":"` + strings.Repeat("x", 262_100) + `"}`) },
		} {
			bad := of("acme", 2)
			change(&bad)
			if err := p.Publish(t.Context(), of("acme", 1), bad); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		if s.calls > 0 {
			t.Error("something was put")
		}
		if err := p.Publish(t.Context()); err != nil {
			t.Errorf("no events: %v", err)
		}
	})
}

func TestEventGetsAnID(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		e := of("acme", 1)
		e.ID = ""
		if err := p.Publish(t.Context(), e, e); err != nil {
			t.Fatal(err)
		}
		if ids := s.ids(); ids[0] == ids[1] || !event.ValidID(ids[0]) {
			t.Errorf("ids %q", ids)
		}
	})
}

func TestCloseFlushes(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		s.delay = time.Second
		var err error
		var calls sync.WaitGroup
		calls.Go(func() { err = p.Publish(t.Context(), of("acme", 1)) })
		synctest.Wait()
		if err := p.Close(t.Context()); err != nil || len(s.events) != 1 {
			t.Errorf("%v, with %d events in the stream", err, len(s.events))
		}
		calls.Wait()
		if err != nil {
			t.Error(err)
		}
		if err := p.Publish(t.Context(), of("acme", 2)); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestContextsEndTheWait(t *testing.T) {
	bubble(t, func(t *testing.T, p *Producer, s *stream) {
		s.delay = time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Publish(ctx, of("acme", 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish: %v", err)
		}
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
	})
}

// A stamp that is far off would end replays early, or hide the event from them.
func TestWrongClockIsCorrected(t *testing.T) {
	for name, off := range map[string]time.Duration{"behind": 2 * time.Hour, "ahead": -2 * time.Hour, "right": time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, p *Producer, s *stream) {
				s.fails = func(call int, _ event.Event) (bool, error) {
					if call > 1 || name == "right" {
						return false, nil
					}
					date := time.Now().Add(off).UTC().Format(http.TimeFormat)
					response := &http.Response{StatusCode: 400, Header: http.Header{"Date": {date}}}
					return false, &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
						Response: &smithyhttp.Response{Response: response}, Err: &smithy.GenericAPIError{Code: "InvalidSignatureException", Message: "Signature expired"},
					}}
				}
				if err := p.Publish(t.Context(), of("acme", 1)); err != nil {
					t.Fatal(err)
				}
				want := time.Now()
				if name != "right" {
					want = want.Add(off)
				}
				if from := s.events[0].PublishedAt.Sub(want).Abs(); from > 2*time.Second {
					t.Errorf("published_at is %v from the stream's time", from)
				}
			})
		})
	}
}
