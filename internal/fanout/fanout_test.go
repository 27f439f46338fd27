package fanout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// bundle is a Handler on test doubles that record their calls.
type bundle struct {
	*Handler
	mu       sync.Mutex
	calls    []string
	fail     map[string]error                             // by call
	follow   func(context.Context, event.Partition) error // nil: at once
	left     map[string]bool                              // the ids of events that cannot be put
	inFlight chan struct{}                                // calls of subscribers that have left, nil for none
}

func setup(t *testing.T) *bundle {
	b := &bundle{fail: map[string]error{}, left: map[string]bool{}}
	b.Handler = &Handler{
		Log: b, Engine: b, Decode: decodeText, Now: time.Now, DrainTimeout: time.Second,
		IsPlain:     func(data []byte) bool { return bytes.HasPrefix(data, []byte("{")) },
		DecodePlain: decodePlainText, Stamp: stampText, Backdate: backdate,
		GrowLanes: func(_ context.Context, tenant string) error { return b.note("grow " + tenant) },
		Quarantine: func(_ context.Context, r *events.KinesisEventRecord, reason error) error {
			return b.note(fmt.Sprintf("quarantine %s %q: %v", r.Kinesis.SequenceNumber, r.Kinesis.Data, reason))
		},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	b.Handler.Put = b.put
	return b
}

func (b *bundle) note(call string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, call)
	return b.fail[call]
}

func (b *bundle) Append(_ context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	var list []string
	for _, r := range records {
		for _, e := range r.Events {
			list = append(list, r.Sequence+"="+e.ID)
		}
	}
	return uint64(len(list)), b.note(fmt.Sprintf("append %s %s %s", p.Key(), source, strings.Join(list, " ")))
}

func (b *bundle) Passed(_ context.Context, p event.Partition, at time.Time) error {
	return b.note(fmt.Sprintf("passed %s %d", p.Key(), at.Unix()))
}

func (b *bundle) DeliverLive(ctx context.Context, p event.Partition, end *delivery.LogEnd) error {
	if b.follow != nil {
		if err := b.follow(ctx, p); err != nil {
			return err
		}
	}
	if b.inFlight != nil {
		context.AfterFunc(ctx, func() { close(b.inFlight) })
	}
	return b.note(fmt.Sprintf("follow %s to %d", p.Key(), end.Segment()))
}

func (b *bundle) Wait() {
	if b.inFlight != nil {
		<-b.inFlight
	}
}

// decodeText reads records in a form for tests: the ids of events, separated by
// blanks, or "marker" and seconds since 1970.
func decodeText(key string, data []byte) (Content, error) {
	p, ok := event.PartitionOf(key)
	words := strings.Fields(string(data))
	if !ok || len(words) == 0 {
		return Content{}, errors.New("no such record")
	}
	c := Content{Partition: p}
	if words[0] == "marker" {
		var seconds int64
		_, _ = fmt.Sscan(words[1], &seconds)
		c.Marker = time.Unix(seconds, 0)
		return c, nil
	}
	for _, id := range words {
		c.Events = append(c.Events, event.Event{ID: id, Tenant: p.Tenant})
	}
	return c, nil
}

// batch has a record for each "sequence key data".
func batch(records ...string) events.KinesisEvent {
	var b events.KinesisEvent
	for _, r := range records {
		part := strings.SplitN(r, " ", 3)
		b.Records = append(b.Records, events.KinesisEventRecord{
			EventID: "shardId-0:" + part[0], EventSourceArn: "arn", Kinesis: events.KinesisRecord{SequenceNumber: part[0], PartitionKey: part[1], Data: []byte(part[2])},
		})
	}
	return b
}

// handle handles a batch and returns the sequence numbers to redeliver from.
func (b *bundle) handle(ctx context.Context, t *testing.T, batch events.KinesisEvent) []string {
	t.Helper()
	res, err := b.Handle(ctx, batch)
	if err != nil || res.BatchItemFailures == nil {
		t.Fatalf("Handle: %+v, %v; want a response with a list", res, err)
	}
	var again []string
	for _, f := range res.BatchItemFailures {
		again = append(again, f.ItemIdentifier)
	}
	slices.Sort(again)
	return again
}

func (b *bundle) wantCalls(t *testing.T, want ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(b.calls))
	slices.Sort(want)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func wantAgain(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("redelivered (-want +got):\n%s", diff)
	}
}

func TestEachPartitionIsAppendedAndDeliveredOnce(t *testing.T) {
	b := setup(t)
	wantAgain(t, b.handle(t.Context(), t, batch("1 0#a x y", "2 1#a z", "3 0#b v", "4 0#a w")))
	wantAgain(t, b.handle(t.Context(), t, batch("5 0#a u")))
	b.wantCalls(t, "grow a", "grow b",
		"append 0#a arn 1=x 1=y 4=w", "follow 0#a to 3", "append 1#a arn 2=z", "follow 1#a to 1", "append 0#b arn 3=v", "follow 0#b to 1",
		"append 0#a arn 5=u", "follow 0#a to 1")
}

func TestFailuresAreOfOnePartition(t *testing.T) {
	const appendA, followA = "append 0#a arn 2=x 4=z", "follow 0#a to 2"
	for _, c := range []struct {
		name, call string
		again      string // its first record, or its last if all are in the log
	}{
		{"lanes", "grow a", "2"},
		{"append", appendA, "2"},
		{"follow", followA, "4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			b.fail[c.call] = errors.New("broken")
			wantAgain(t, b.handle(t.Context(), t, batch("1 0#b u", "2 0#a x", "3 0#b v", "4 0#a z")), c.again)
			if !slices.Contains(b.calls, "follow 0#b to 2") {
				t.Errorf("the other partition was blocked: %q", b.calls)
			}
			b.calls, b.fail = nil, nil
			wantAgain(t, b.handle(t.Context(), t, batch("2 0#a x", "3 0#b v", "4 0#a z")))
			if !slices.Contains(b.calls, followA) {
				t.Errorf("not delivered when redelivered: %q", b.calls)
			}
			if slices.Contains(b.calls, "grow a") != (c.call == "grow a") {
				t.Errorf("lanes are added once, and again only if it failed: %q", b.calls)
			}
		})
	}
}

func TestLanesAreGrownAgainAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		for range 3 {
			wantAgain(t, b.handle(t.Context(), t, batch("1 0#a marker 100")))
			time.Sleep(grownFor / 2)
		}
		b.wantCalls(t, "grow a", "passed 0#a 100", "passed 0#a 100", "grow a", "passed 0#a 100")
	})
}

func TestUnreadableRecordsAreQuarantined(t *testing.T) {
	b := setup(t)
	records := batch("1 nonsense x", "2 0#a x", "3 0#a ", "4 0#a y")
	wantAgain(t, b.handle(t.Context(), t, records))
	b.wantCalls(t, `quarantine 1 "x": no such record`, `quarantine 3 "": no such record`, "grow a", "append 0#a arn 2=x 4=y", "follow 0#a to 2")

	b = setup(t)
	b.fail[`quarantine 3 "": no such record`] = errors.New("the bucket is gone")
	wantAgain(t, b.handle(t.Context(), t, batch("1 nonsense x", "2 0#a x", "3 0#a ", "4 0#a y")), "3")
	if !slices.Contains(b.calls, "follow 0#a to 2") {
		t.Errorf("events wait for a record that cannot be quarantined: %q", b.calls)
	}
}

// A watermark marker vouches that everything before it is in the log, so it must not
// be saved otherwise.
func TestWatermarkMarkers(t *testing.T) {
	b := setup(t)
	wantAgain(t, b.handle(t.Context(), t, batch("1 0#a marker 100", "2 0#b x", "3 0#b marker 300", "4 0#b marker 200")))
	b.wantCalls(t, "grow a", "grow b", "passed 0#a 100", "append 0#b arn 2=x", "follow 0#b to 1", "passed 0#b 300")

	b = setup(t)
	b.fail["append 0#b arn 2=x"] = errors.New("broken")
	b.fail["passed 0#a 100"] = errors.New("broken")
	wantAgain(t, b.handle(t.Context(), t, batch("1 0#a marker 100", "2 0#b x", "3 0#b marker 300")), "1", "2")
	if slices.Contains(b.calls, "passed 0#b 300") {
		t.Error("a watermark marker was saved although what is before it could not be appended")
	}
}

func TestDeliveryEndsBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.follow = func(ctx context.Context, p event.Partition) error {
			if p.Tenant == "b" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		started := time.Now()
		wantAgain(t, b.handle(ctx, t, batch("1 0#a x", "2 0#b y", "3 0#a z")), "3")
		if took := time.Since(started); took != time.Minute-reserve {
			t.Errorf("it took %v of a minute", took)
		}
	})
}

// When the handler has returned, Lambda freezes the process wherever it is.
func TestNothingIsInFlightAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.inFlight = make(chan struct{})
		b.follow = func(context.Context, event.Partition) error { time.Sleep(2 * time.Second); return nil }
		started := time.Now()
		wantAgain(t, b.handle(t.Context(), t, batch("1 0#a x")))
		select {
		case <-b.inFlight:
		default:
			t.Error("calls are still in flight")
		}
		if took := time.Since(started); took != 2*time.Second+b.DrainTimeout {
			t.Errorf("it took %v; calls in flight must be canceled %v after the rest", took, b.DrainTimeout)
		}
	})
}

// The runbook tells an operator to look for these lines.
func TestFailuresAreLogged(t *testing.T) {
	broken := errors.New("broken")
	for fails, want := range map[string]string{
		"grow a":                           `level=ERROR msg="batch will be redelivered: lanes could not be added" tenant=a lane=0 error=broken`,
		"append 0#a arn 1=x":               `level=ERROR msg="batch will be redelivered: it could not be appended" tenant=a lane=0 error=broken`,
		"follow 0#a to 1":                  `level=ERROR msg="batch will be redelivered: its events are in the log, but not every subscriber has them" tenant=a lane=0 end=1 error=broken`,
		"passed 0#a 100":                   `level=ERROR msg="batch will be redelivered: a watermark marker could not be saved" tenant=a lane=0 error=broken`,
		`quarantine 3 "x": no such record`: `level=ERROR msg="unreadable record could not be quarantined; it will be redelivered" event_id=shardId-0:3 partition_key=nonsense bytes=1 reason="no such record" error=broken`,
		"nothing":                          `level=ERROR msg="unreadable record quarantined" event_id=shardId-0:3 partition_key=nonsense bytes=1 reason="no such record"`,
	} {
		b := setup(t)
		var lines bytes.Buffer
		b.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		b.fail[fails] = broken
		b.handle(t.Context(), t, batch("1 0#a x", "2 0#a marker 100", "3 nonsense x"))
		if !strings.Contains(lines.String(), want+"\n") {
			t.Errorf("%s fails: the log is\n%swithout\n%s", fails, lines.String(), want)
		}
	}
}
