package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/event"
)

const backdate = 5 * time.Minute

// decodePlainText reads "{tenant}" and "{tenant id}".
func decodePlainText(data []byte) (event.Draft, error) {
	words := strings.Fields(strings.Trim(string(data), "{}"))
	switch len(words) {
	case 0:
		return event.Draft{}, errors.New("no tenant")
	case 1:
		return event.Draft{Tenant: words[0]}, nil
	}
	return event.Draft{Tenant: words[0], ID: words[1]}, nil
}

// stampText makes an id of the record's and its time of arrival.
func stampText(d event.Draft, id string, arrived time.Time) event.Event {
	if d.ID == "" {
		d.ID = fmt.Sprintf("%s@%d", id, arrived.Unix())
	}
	return event.Event{ID: d.ID, Tenant: d.Tenant, PublishedAt: arrived}
}

// put notes what is put, with how long ago it was published.
func (b *bundle) put(_ context.Context, stamped []event.Event) (left []int, err error) {
	var list []string
	for i, e := range stamped {
		if b.left[e.ID] {
			left, err = append(left, i), errors.New("throttled")
			continue
		}
		list = append(list, fmt.Sprintf("%s/%s -%v", e.Tenant, e.ID, b.Now().Sub(e.PublishedAt)))
	}
	_ = b.note("put " + strings.Join(list, " "))
	return left, err
}

// arrived sets when all records of a batch arrived.
func arrived(batch events.KinesisEvent, at time.Time) events.KinesisEvent {
	for i := range batch.Records {
		batch.Records[i].Kinesis.ApproximateArrivalTimestamp = events.SecondsEpochTime{Time: at}
	}
	return batch
}

// A lane takes the records of its own partition key alone: a plain record of any other key,
// or of the very key of a lane, must not be appended where it is read.
func TestPlainRecordsAreNeverAppendedWhereTheyAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		at := time.Now()
		time.Sleep(2 * time.Second)
		wantAgain(t, b.handle(t.Context(), t, arrived(batch("1 anything {a}", "2 0#a x", "3 0#a {a mine}", "4 0#b {c}"), at)))
		b.wantCalls(t, "grow a", "append 0#a arn 2=x", "follow 0#a to 1",
			fmt.Sprintf("put a/shardId-0:1@%d -2s a/mine -2s c/shardId-0:4@%d -2s", at.Unix(), at.Unix()))
	})
}

// The stream redelivers everything from the first record that failed, and does so until it
// succeeds: what was put before that must not be put with each attempt.
func TestPlainRecordsAreNotPutWhileWhatIsBeforeThemFails(t *testing.T) {
	for name, call := range map[string]string{"append": "append 0#a arn 2=x", "follow": "follow 0#a to 1", "quarantine": `quarantine 2 "{}": no tenant`} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.fail[call] = errors.New("broken")
			records := func(from int) events.KinesisEvent {
				second := "2 0#a x"
				if name == "quarantine" {
					second = "2 0#a {}"
				}
				return batch([]string{"1 k {a one}", second, "3 k {a three}"}[from:]...)
			}
			wantAgain(t, b.handle(t.Context(), t, records(0)), "2")
			for range 3 {
				wantAgain(t, b.handle(t.Context(), t, records(1)), "2")
			}
			b.fail = nil
			wantAgain(t, b.handle(t.Context(), t, records(1)))
			puts := 0
			for _, call := range b.calls {
				if strings.HasPrefix(call, "put ") {
					puts += strings.Count(call, "a/")
				}
			}
			if puts != 2 {
				t.Errorf("%d events were put, want one of each record: %q", puts, b.calls)
			}
		})
	}
}

func TestPlainRecordThatCannotBePutIsRedelivered(t *testing.T) {
	b := setup(t)
	b.left["two"], b.left["three"] = true, true
	wantAgain(t, b.handle(t.Context(), t, batch("10 k {a one}", "11 k {a two}", "12 k {a three}", "13 0#a x")), "11")
	if calls := strings.Join(b.calls, "\n"); !strings.Contains(calls, "put a/one") || !strings.Contains(calls, "follow 0#a to 1") {
		t.Errorf("what could be done was not: %s", calls)
	}
}

// Sequence numbers have no fixed length.
func TestPlainRecordsAreComparedByNumber(t *testing.T) {
	b := setup(t)
	b.fail["append 0#a arn 10=x"] = errors.New("broken")
	wantAgain(t, b.handle(t.Context(), t, batch("9 k {a one}", "10 0#a x", "11 k {a two}")), "10")
	if calls := strings.Join(b.calls, "\n"); !strings.Contains(calls, "put a/one") || strings.Contains(calls, "two") {
		t.Errorf("calls: %s", calls)
	}
}

// Once a marker has passed a lane, a replay up to a margin before it is final. A record that
// waited in its shard for longer must not become an event of that time.
func TestPlainRecordThatWaitedLongIsPublishedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		at := time.Now()
		time.Sleep(time.Hour)
		wantAgain(t, b.handle(t.Context(), t, arrived(batch("1 k {a}", "2 k {a mine}"), at)))
		b.wantCalls(t, fmt.Sprintf("put a/shardId-0:1@%d -5m0s a/mine -5m0s", at.Unix()))
	})
}

func TestUnreadablePlainRecordsAreQuarantined(t *testing.T) {
	b := setup(t)
	wantAgain(t, b.handle(t.Context(), t, batch("1 k {}", "2 k {a one}", "3 0#a x")))
	calls := strings.Join(b.calls, "\n")
	for _, want := range []string{`quarantine 1 "{}": no tenant`, "put a/one", "follow 0#a to 1"} {
		if !strings.Contains(calls, want) {
			t.Errorf("no %s in\n%s", want, calls)
		}
	}
}
