package kinesis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

func TestPublishPutsEveryEventInItsLaneInOrder(t *testing.T) {
	for _, tt := range []struct {
		name               string
		lanes, n, size     int
		records, calls     int
		recordMin, callMin int // at least so many
	}{
		{name: "one event", lanes: 1, n: 1, size: 10, records: 1, calls: 1},
		{name: "a call of one lane", lanes: 1, n: 1000, size: 100, records: 1, calls: 1},
		{name: "a call of many lanes", lanes: 32, n: 1000, size: 100, records: 32, calls: 1},
		{name: "large events", lanes: 1, n: 20, size: 256 << 10, records: 7, calls: 1},
		{name: "a lane beyond a record", lanes: 3, n: 40, size: 100 << 10, recordMin: 5, calls: 1},
		{name: "beyond a call", lanes: 1, n: 30, size: 500_000, records: 15, callMin: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, client := setup(t)
			given := drafts(tt.n, tt.size)
			if err := s.Publish(t.Context(), "acme", event.Lanes{Each: tt.lanes}, given); err != nil {
				t.Fatal(err)
			}
			want := map[event.Partition][]string{}
			for _, d := range given {
				p := event.Partition{Tenant: "acme", Lane: event.LaneOf(d.ID, tt.lanes)}
				want[p] = append(want[p], d.ID)
			}
			if diff := cmp.Diff(want, client.ids()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := len(client.records); tt.records != 0 && n != tt.records || n < tt.recordMin {
				t.Errorf("%d records", n)
			}
			if n := client.calls; tt.calls != 0 && n != tt.calls || n < tt.callMin {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// A call of many tenants makes one record for each, in calls of up to 500; those that fail
// are tried again alone, and all are in the stream when Publish returns nil.
func TestACallOfManyTenantsIsOneRecordForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		client.fails = func(_ context.Context, call int, records []Record) ([]int, error) {
			switch call {
			case 1:
				return []int{0, 7, 499}, nil
			case 2:
				return nil, errFault
			}
			return nil, nil
		}
		given := drafts(1000, 100)
		want := map[event.Partition][]string{}
		for i := range given {
			given[i].Tenant = fmt.Sprint("tenant-", i%600)
			p := event.Partition{Tenant: given[i].Tenant}
			want[p] = append(want[p], given[i].ID)
		}
		if err := s.Publish(t.Context(), "", event.Lanes{Each: 1}, given); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, client.ids()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{500, 100, 103}, client.entries); diff != "" {
			t.Errorf("entries of the calls (-want +got):\n%s", diff)
		}
		for _, r := range client.records {
			for _, e := range r.Events {
				if e.Tenant != r.Partition.Tenant || !strings.Contains(string(e.Body), `"tenant":"`+e.Tenant+`"`) {
					t.Errorf("a record of %s has %s", r.Partition.Tenant, e.Body)
				}
			}
		}
	})
}

// What is not accepted of a call of many tenants is named by its place in the call.
func TestErrorNamesTheTenantsEventsThatAreNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		client.fails = func(_ context.Context, _ int, records []Record) (failed []int, _ error) {
			for i, r := range records {
				if r.Partition.Tenant == "globex" {
					failed = append(failed, i)
				}
			}
			return failed, nil
		}
		given := drafts(6, 20)
		for i := range given {
			given[i].Tenant = []string{"acme", "globex", "umbrella"}[i%3]
		}
		err := s.Publish(t.Context(), "", event.Lanes{Each: 1}, given)
		if want := "6 events, counted from 0: 1, 4. "; problem.CodeOf(err) != problem.Unavailable || !strings.Contains(problem.MessageOf(err), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	})
}

func TestPublishStampsAllAlike(t *testing.T) {
	s, client := setup(t)
	given := drafts(3, 20)
	ticks := 0
	s.now = func() time.Time { ticks++; return now.Add(time.Duration(ticks) * time.Hour) }
	if err := s.Publish(t.Context(), "acme", event.Lanes{Each: 1}, given); err != nil {
		t.Fatal(err)
	}
	for i, e := range client.records[0].Events {
		if diff := cmp.Diff(given[i].Stamp("acme", now.Add(time.Hour)), e); diff != "" {
			t.Error(diff)
		}
	}
}

// Incompressible events are put in several calls.
func TestPublishOfWhatCannotBeCompressed(t *testing.T) {
	s, client := setup(t)
	given := drafts(9, 0)
	for i := range given {
		given[i].Payload = noise(i, 800_000)
	}
	if err := s.Publish(t.Context(), "acme", event.Lanes{Each: 1}, given); err != nil {
		t.Fatal(err)
	}
	if client.calls != 2 || len(client.records) != 9 {
		t.Errorf("%d records in %d calls, want 9 in 2", len(client.records), client.calls)
	}
}

func TestTooLargeAnEventIsRefusedBeforeAnyIsPut(t *testing.T) {
	s, client := setup(t)
	given := append(drafts(2, 20), drafts(1, 1<<20)...)
	err := s.Publish(t.Context(), "acme", event.Lanes{Each: 2}, given)
	if problem.CodeOf(err) != problem.PayloadTooLarge || !strings.Contains(problem.MessageOf(err), "Event 2 of the call, counted from 0, takes 10") {
		t.Errorf("error %v", err)
	}
	if client.calls > 0 {
		t.Error("something was put")
	}
}

func TestFailedEntriesAloneAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		client.fails = func(_ context.Context, call int, records []Record) ([]int, error) {
			switch call {
			case 1:
				return []int{0, 2, 5}, nil
			case 2:
				return nil, errFault
			case 3:
				return []int{1}, nil
			}
			return nil, nil
		}
		given := drafts(200, 20)
		if err := s.Publish(t.Context(), "acme", event.Lanes{Each: 8}, given); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{8, 3, 3, 1}, client.entries); diff != "" {
			t.Error(diff)
		}
		n := 0
		for _, ids := range client.ids() {
			n += len(ids)
		}
		if n != len(given) {
			t.Errorf("%d events are in the stream, want each once", n)
		}
	})
}

// The error names what the caller must send again: once only that is sent, every event
// is in the stream.
func TestErrorNamesWhatIsNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		given := drafts(12, 20)
		client.fails = func(_ context.Context, _ int, records []Record) (failed []int, _ error) {
			for i, r := range records {
				if r.Partition.Lane == 1 {
					failed = append(failed, i)
				}
			}
			return failed, nil
		}
		start := time.Now()
		err := s.Publish(t.Context(), "acme", event.Lanes{Each: 3}, given)
		var missing []int
		for i, d := range given {
			if event.LaneOf(d.ID, 3) == 1 {
				missing = append(missing, i)
			}
		}
		want := "The stream did not accept these of the call's 12 events, counted from 0: " + ranges(missing) +
			". Send only these again in a moment; all the others were accepted."
		if problem.CodeOf(err) != problem.Unavailable || problem.MessageOf(err) != want {
			t.Errorf("error %v\nwant %s", err, want)
		}
		if !strings.Contains(err.Error(), "ProvisionedThroughputExceededException") || strings.Contains(problem.MessageOf(err), "111122223333") {
			t.Errorf("error %v; the cause belongs only in the log", err)
		}
		if took := time.Since(start); client.calls != tries || took > 12*time.Second {
			t.Errorf("gave up after %d calls and %v", client.calls, took)
		}
	})
}

func TestGivesUpBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			call func(ctx context.Context) error
		}{
			{"throttled", func(context.Context) error { return errFault }},
			{"no response", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		} {
			s, client := setup(t)
			client.fails = func(ctx context.Context, _ int, _ []Record) ([]int, error) { return nil, tt.call(ctx) }
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			start := time.Now()
			err := s.Publish(ctx, "acme", event.Lanes{Each: 1}, drafts(3, 20))
			took := time.Since(start)
			const want = "The stream accepted none of the call's events. Send them again in a moment."
			if problem.CodeOf(err) != problem.Unavailable || problem.MessageOf(err) != want {
				t.Errorf("%s: error %v", tt.name, err)
			}
			if took > 2*time.Second || client.calls == 0 {
				t.Errorf("%s: %d calls, answered after %v of 3 s", tt.name, client.calls, took)
			}
			cancel()
		}
	})
}

// A call without a response does not use up all the time.
func TestAResponseIsNotWaitedForForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		client.fails = func(ctx context.Context, call int, _ []Record) ([]int, error) {
			if call > 1 {
				return nil, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := s.Publish(ctx, "acme", event.Lanes{Each: 1}, drafts(3, 20)); err != nil || client.calls != 2 {
			t.Errorf("%d calls, %v", client.calls, err)
		}
	})
}

func TestCallerThatGoesAwayEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		client.fails = func(_ context.Context, call int, _ []Record) ([]int, error) {
			if call == 6 {
				cancel()
			}
			return nil, errFault
		}
		err := s.Publish(ctx, "acme", event.Lanes{Each: 1}, drafts(3, 20))
		if problem.CodeOf(err) != problem.Unavailable || client.calls != 6 {
			t.Errorf("%d calls, error %v", client.calls, err)
		}
	})
}

func TestWhatLastsIsNotTriedAgain(t *testing.T) {
	s, client := setup(t)
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User arn:aws:sts::111122223333:x may not"}
	client.fails = func(context.Context, int, []Record) ([]int, error) { return nil, denied }
	given := drafts(8, 0)
	for i := range given {
		given[i].Payload = noise(i, 800_000)
	}
	err := s.Publish(t.Context(), "acme", event.Lanes{Each: 1}, given)
	if problem.CodeOf(err) != problem.Internal || !errors.Is(err, denied) || client.calls != 1 {
		t.Errorf("%d calls, error %v", client.calls, err)
	}
}

func TestPutMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := setup(t)
		client.fails = func(_ context.Context, call int, records []Record) ([]int, error) {
			if call < 3 {
				return every(len(records)), nil
			}
			return nil, nil
		}
		// Its time is that before it was put: what is put meanwhile may be
		// before or after it.
		s.now = func() time.Time {
			if client.calls > 0 {
				t.Error("the time was taken after the first try")
			}
			return now
		}
		if err := s.PutMarker(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		want := []Record{{Partition: acme, Marker: now.Truncate(time.Millisecond)}}
		if diff := cmp.Diff(want, client.records); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		client.fails = func(context.Context, int, []Record) ([]int, error) { return nil, errFault }
		s.now = func() time.Time { return now }
		if err := s.PutMarker(t.Context(), acme); problem.CodeOf(err) != problem.Unavailable || !errors.Is(err, errFault) {
			t.Errorf("error %v", err)
		}
	})
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int{
		"":                     nil,
		"7":                    {7},
		"0 to 1":               {1, 0},
		"0, 2 to 4, 6, 8 to 9": {8, 9, 0, 3, 4, 2, 6},
	} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}

// noise is a JSON object that does not compress to less than about three
// quarters of its size.
func noise(seed, size int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
	state := uint64(seed)*2 + 1
	b := bytes.Repeat([]byte{' '}, size)
	for i := range b {
		state = state*6364136223846793005 + 1442695040888963407
		b[i] = letters[state>>58]
	}
	return append(append([]byte(`{"a":"`), b...), `"}`...)
}
