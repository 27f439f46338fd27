package main

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
)

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// deleted returns the change by which the object of a batch is deleted.
func deleted(name string) string { return "delete object " + givenUpKey + name }

func TestBatchIsPutBackAndThenItsObjectDeleted(t *testing.T) {
	w := newWorld(t)
	w.publish("0#acme", "0#acme", "1#acme", "0#globex", "0#acme")
	w.givenUp("a", 1, 4)
	w.givenUp("b", 4, 5)
	code, out, stderr := w.fromBucket()
	if code != exitOK || len(w.objects) != 0 {
		t.Errorf("code %d, %s, objects %q", code, stderr, w.objects)
	}
	same(t, "changes", []string{
		"put 0#acme 101", "put 1#acme 102", "put 0#globex 103", deleted("a"),
		"put 0#acme 104", deleted("b"),
	}, w.changes)
	contains(t, out, "batch of 3 records of shardId-000000000000, from 2025-06-01 12:00:00Z on (RecordAgeExceeded)", "Done: 2 put back (4 records), 0 kept.", "Next:")
}

func TestNothingToPutBack(t *testing.T) {
	w := newWorld(t)
	if code, out, _ := w.fromBucket(); code != exitOK || !strings.Contains(out, "There is nothing to put back.") {
		t.Errorf("code %d, %s", code, out)
	}
}

func TestOnlyRejectedEntriesAreRetried(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a", "0#b", "0#c")
	w.givenUp("a", 0, 3)
	w.refuse = func(call, entry int) bool { return call == 1 && entry != 1 }
	if code, _, stderr := w.fromBucket(); code != exitOK {
		t.Error(stderr)
	}
	same(t, "changes", []string{"put 0#b 101", "put 0#a 100", "put 0#c 102", deleted("a")}, w.changes)
}

func TestBatchIsKeptUntilAllItsRecordsAreBack(t *testing.T) {
	refused := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized"}
	for name, c := range map[string]struct {
		set  func(*world)
		puts int // calls
		says string
	}{
		"an entry is always rejected": {func(w *world) { w.refuse = func(_, entry int) bool { return entry == 0 } }, tries, "1 records could not be put"},
		"no response":                 {func(w *world) { w.failing["PutRecords"] = errFault }, tries, "3 records could not be put"},
		"no permission":               {func(w *world) { w.failing["PutRecords"] = refused }, 1, "not authorized"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("0#a", "0#b", "0#c")
			w.givenUp("a", 0, 3)
			c.set(w)
			code, out, stderr := w.fromBucket()
			if code != exitKept || len(w.objects) != 1 {
				t.Errorf("code %d, objects %q", code, w.objects)
			}
			if w.puts != c.puts {
				t.Errorf("%d calls of PutRecords, want %d", w.puts, c.puts)
			}
			contains(t, out, "KEPT: ", c.says, "0 put back (0 records), 1 kept")
			contains(t, stderr, "1 of 1 were kept")
		})
	}
}

func TestForeignObjectsAreKeptAndDoNotBlockOthers(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a")
	w.givenUp("m", 0, 1)
	w.objects["aws/lambda/1"] = "hello"
	w.objects["aws/lambda/2"] = object("arn:aws:kinesis:eu-central-1:123456789012:stream/other", w.records...)
	w.objects["aws/lambda/3"] = strings.Replace(object(eventsStream, w.records...), `"batchSize":1`, `"batchSize":2`, 1)
	code, out, _ := w.fromBucket()
	if code != exitKept || len(w.objects) != 3 {
		t.Errorf("code %d, objects %q", code, w.objects)
	}
	same(t, "changes", []string{"put 0#a 100", deleted("m")}, w.changes)
	contains(t, out, "it is not a batch that was given up", "it belongs to the stream arn:aws:kinesis:eu-central-1:123456789012:stream/other",
		"its payload has 1 records, and the batch had 2", "1 put back (1 records), 3 kept")
}

// A watermark marker is not valid at another position in the stream.
func TestWatermarkMarkersAreLeftOut(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a", "0#a", "0#a")
	w.records[1].Data = wire.EncodeMarker(time.UnixMilli(1_700_000_000_000))
	w.records[2].Data = []byte("damaged") // is put; fanout quarantines it
	w.givenUp("a", 0, 3)
	if code, _, stderr := w.fromBucket(); code != exitOK {
		t.Error(stderr)
	}
	same(t, "changes", []string{"put 0#a 100", "put 0#a 102", deleted("a")}, w.changes)
}

func TestDryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a", "0#b")
	w.givenUp("a", 0, 2)
	w.objects["aws/lambda/x"] = "{}"
	w.objects["malformed/s/1.json"] = quarantinedText("0#a", data(7))
	code, out, _ := w.fromBucket("--dry-run")
	if code != exitKept || len(w.changes) != 0 || len(w.objects) != 3 {
		t.Errorf("code %d, changes %q, objects %q", code, w.changes, w.objects)
	}
	contains(t, out, "Dry run: 2 could be put back (3 records), 1 would be kept.")
}

func TestFailedDeletionIsReported(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a")
	w.givenUp("a", 0, 1)
	w.failing["DeleteObject"] = errFault
	code, out, _ := w.fromBucket()
	if code != exitKept || len(w.changes) != 1 {
		t.Errorf("code %d, changes %q", code, w.changes)
	}
	contains(t, out, "its 1 records are back on the stream", "another run will put them again")
}

func TestInterruptionKeepsTheObject(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a", "0#b", "0#c")
	w.givenUp("a", 0, 3)
	w.refuse = func(int, int) bool { w.interrupt(); return true }
	code, _, stderr := w.fromBucket()
	if code != exitKept || len(w.objects) != 1 {
		t.Errorf("code %d, objects %q", code, w.objects)
	}
	contains(t, stderr, "canceled")
}

func TestLargeBatchesAreSplit(t *testing.T) {
	w := newWorld(t)
	for range 1100 {
		w.publish("0#a")
	}
	big := make([]byte, 1<<20)
	for i := 600; i < 610; i++ {
		w.records[i].Data = big
	}
	var calls []int
	w.refuse = func(call, entry int) bool {
		for len(calls) < call {
			calls = append(calls, 0)
		}
		calls[call-1]++
		return false
	}
	w.givenUp("a", 0, 1100)
	if code, out, stderr := w.fromBucket(); code != exitOK {
		t.Error(out, stderr)
	}
	same(t, "records of each call", []int{500, 104, 4, 492}, calls)
}
