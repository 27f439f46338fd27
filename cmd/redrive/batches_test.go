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

// fromQueue runs the command on the queue, without the confirmation.
func (w *world) fromQueue(args ...string) (code int, out, stderr string) {
	w.t.Helper()
	return w.command("", append([]string{"--queue", "https://sqs/dlq", "--yes"}, args...)...)
}

func TestBatchIsPutBackAndThenItsMessageDeleted(t *testing.T) {
	for _, closed := range []bool{false, true} {
		w := newWorld(t)
		w.closed = closed
		w.publish("0#acme", "0#acme", "1#acme", "0#globex", "0#acme")
		w.deadLettered("m1", 101, 103, 2)
		w.deadLettered("m2", 104, 104, 1)
		code, out, stderr := w.fromQueue()
		if code != exitOK {
			t.Errorf("code %d, %s", code, stderr)
		}
		same(t, "changes", []string{
			"put 0#acme 101", "put 1#acme 102", "put 0#globex 103", "delete message m1",
			"put 0#acme 104", "delete message m2",
		}, w.changes)
		contains(t, out, "about 2 batches", "1 of them lie between", "Done: 2 put back (4 records), 0 kept.", "Next:")
	}
}

func TestNothingToPutBack(t *testing.T) {
	w := newWorld(t)
	if code, out, _ := w.fromQueue(); code != exitOK || !strings.Contains(out, "There is nothing to put back.") {
		t.Errorf("code %d, %s", code, out)
	}
}

func TestOnlyRejectedEntriesAreRetried(t *testing.T) {
	w := newWorld(t)
	w.page = 10
	w.publish("0#a", "0#b", "0#c")
	w.deadLettered("m1", 100, 102, 3)
	w.refuse = func(call, entry int) bool { return call == 1 && entry != 1 }
	if code, _, stderr := w.fromQueue(); code != exitOK {
		t.Error(stderr)
	}
	same(t, "changes", []string{"put 0#b 101", "put 0#a 100", "put 0#c 102", "delete message m1"}, w.changes)
}

func TestMessageIsKeptUntilAllRecordsAreBack(t *testing.T) {
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
			w.page = 10
			w.publish("0#a", "0#b", "0#c")
			w.deadLettered("m1", 100, 102, 3)
			c.set(w)
			code, out, stderr := w.fromQueue()
			if code != exitKept || len(w.messages) != 1 || w.messages[0].hidden {
				t.Errorf("code %d, messages %+v", code, w.messages)
			}
			if w.puts != c.puts {
				t.Errorf("%d calls of PutRecords, want %d", w.puts, c.puts)
			}
			contains(t, out, "KEPT: ", c.says, "0 put back (0 records), 1 kept")
			contains(t, stderr, "1 of 1 were kept")
		})
	}
}

func TestPastTheRetention(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*world)
		want []string // what is put
		says string
	}{
		"all, and nothing follows": {func(w *world) { w.records = nil }, nil, "all its records are past"},
		"all, and others follow":   {func(w *world) { w.records = w.records[3:] }, nil, "all its records are past"},
		"the first":                {func(w *world) { w.records = w.records[1:] }, []string{"put 0#b 101", "put 0#c 102"}, "some of its records are past"},
		"the shard":                {func(w *world) { w.noShard = true }, nil, "no longer has the shard shardId-000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.publish("0#a", "0#b", "0#c", "0#d")
			w.deadLettered("m1", 100, 102, 3)
			c.set(w)
			code, out, _ := w.fromQueue()
			if code != exitKept || len(w.messages) != 1 || w.messages[0].hidden {
				t.Errorf("code %d, messages %+v", code, w.messages)
			}
			same(t, "changes", c.want, w.changes)
			contains(t, out, "KEPT: ", c.says, "retention")
		})
	}
}

func TestForeignMessagesAreKeptAndDoNotBlockOthers(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a")
	w.messages = []message{
		{id: "text", body: "hello"},
		{id: "other", body: about("arn:aws:kinesis:eu-central-1:123456789012:stream/other", "100", "100", 1)},
	}
	w.deadLettered("m1", 100, 100, 1)
	code, out, _ := w.fromQueue()
	if code != exitKept || len(w.messages) != 2 {
		t.Errorf("code %d, messages %+v", code, w.messages)
	}
	same(t, "changes", []string{"put 0#a 100", "delete message m1"}, w.changes)
	contains(t, out, "not a record of a failed invocation", "it belongs to the stream other", "1 put back (1 records), 2 kept")
}

// A watermark marker is not valid at another position in the stream.
func TestWatermarkMarkersAreLeftOut(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a", "0#a", "0#a")
	w.records[1].Data = wire.EncodeMarker(time.UnixMilli(1_700_000_000_000))
	w.records[2].Data = []byte("damaged") // is put; fanout quarantines it
	w.deadLettered("m1", 100, 102, 3)
	if code, _, stderr := w.fromQueue(); code != exitOK {
		t.Error(stderr)
	}
	same(t, "changes", []string{"put 0#a 100", "put 0#a 102", "delete message m1"}, w.changes)
}

func TestDryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a", "0#b")
	w.deadLettered("m1", 100, 101, 2)
	w.deadLettered("m2", 50, 50, 1)
	w.objects["malformed/s/1.json"] = quarantinedText("0#a", data(7))
	code, out, _ := w.fromQueue("--dry-run", "--bucket", "b")
	if code != exitKept || len(w.changes) != 0 || len(w.messages) != 2 || w.messages[0].hidden || w.messages[1].hidden {
		t.Errorf("code %d, changes %q, messages %+v", code, w.changes, w.messages)
	}
	contains(t, out, "Dry run: 2 could be put back (3 records), 1 would be kept.")
}

func TestFailedDeletionIsReported(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a")
	w.deadLettered("m1", 100, 100, 1)
	w.failing["DeleteMessage"] = errFault
	code, out, _ := w.fromQueue()
	if code != exitKept || len(w.changes) != 1 {
		t.Errorf("code %d, changes %q", code, w.changes)
	}
	contains(t, out, "another run will put them again")
}

func TestInterruptionKeepsTheMessage(t *testing.T) {
	w := newWorld(t)
	w.publish("0#a", "0#b", "0#c")
	w.deadLettered("m1", 100, 102, 3)
	w.refuse = func(int, int) bool { w.interrupt(); return false }
	code, _, stderr := w.fromQueue()
	if code != exitKept || len(w.messages) != 1 || w.messages[0].hidden {
		t.Errorf("code %d, messages %+v", code, w.messages)
	}
	contains(t, stderr, "canceled")
}

func TestUnreadableQueue(t *testing.T) {
	w := newWorld(t)
	w.failing["GetQueueAttributes"] = errFault
	code, _, stderr := w.fromQueue()
	if code != exitKept {
		t.Errorf("code %d", code)
	}
	contains(t, stderr, "read the attributes of the queue", errFault.Error())
}

func TestLargeBatchesAreSplit(t *testing.T) {
	w := newWorld(t)
	w.page = 2000
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
	w.deadLettered("m1", 100, 1199, 1100)
	if code, _, stderr := w.fromQueue(); code != exitOK {
		t.Error(stderr)
	}
	same(t, "records of each call", []int{500, 104, 4, 492}, calls)
}
