package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

const plainText = `{"tenant":"acme","name":"order.created","payload":{"n":1}}`

var arrival = time.Date(2025, 6, 1, 12, 0, 0, 123_000_000, time.UTC)

// whatFanoutMakes is the event of the plain record with the sequence number 100.
func whatFanoutMakes(t *testing.T) event.Event {
	t.Helper()
	draft, err := wire.DecodePlain([]byte(plainText), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return wire.StampPlain(draft, "shardId-000000000000:100", arrival)
}

// wantPut checks that exactly this event was put, in the first lane.
func (w *world) wantPut(want event.Event) {
	w.t.Helper()
	if len(w.put) != 1 || *w.put[0].PartitionKey != "0#acme" {
		w.t.Fatalf("put %d records: %q", len(w.put), w.changes)
	}
	got, err := wire.Decode(*w.put[0].PartitionKey, w.put[0].Data)
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff([]event.Event{want}, got.Events); diff != "" {
		w.t.Errorf("(-want +got):\n%s", diff)
	}
}

// A plain record is the same event however often it is put back.
func TestPlainRecordOfABatchKeepsItsIDAndTime(t *testing.T) {
	w := newWorld(t)
	w.records = []streampoller.Record{{PartitionKey: "anything", Sequence: "100", Data: []byte(plainText), Arrival: arrival}}
	w.givenUp("a", 0, 1)
	if code, out, stderr := w.fromBucket(); code != exitOK {
		t.Fatalf("code %d\n%s%s", code, out, stderr)
	}
	w.wantPut(whatFanoutMakes(t))
}

func TestPlainRecordOfAnObjectKeepsItsIDAndTime(t *testing.T) {
	object := strings.Replace(quarantinedText("anything", []byte(plainText)), "shardId-000000000000:1", "shardId-000000000000:100", 1)
	for name, text := range map[string]string{
		"its arrival is known": strings.Replace(object, `"partition_key"`, `"arrived_at": "`+arrival.Format(time.RFC3339Nano)+`", "partition_key"`, 1),
		"an earlier release's": object,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.objects["malformed/s/100.json"], w.stored = text, arrival
			if name == "its arrival is known" {
				w.stored = arrival.Add(time.Hour)
			}
			if code, out, stderr := w.fromBucket(); code != exitOK || len(w.objects) != 0 {
				t.Fatalf("code %d\n%s%s", code, out, stderr)
			}
			w.wantPut(whatFanoutMakes(t))
		})
	}
}

// fanout decides what is malformed, and tells why in the object.
func TestMalformedPlainRecords(t *testing.T) {
	w := newWorld(t)
	large := fmt.Sprintf(`{"tenant":"acme","name":"order.created","payload":{"a":%q}}`, strings.Repeat("x", 256<<10))
	for i, text := range []string{`{"name":"order.created","payload":{}}`, large} {
		w.records = append(w.records, streampoller.Record{PartitionKey: "anything", Sequence: strconv.Itoa(100 + i), Data: []byte(text), Arrival: arrival})
		w.objects[fmt.Sprintf("malformed/s/%d.json", i)] = quarantinedText("anything", []byte(text))
	}
	w.givenUp("a", 0, 2)
	code, out, _ := w.fromBucket()
	if code != exitKept || len(w.objects) != 2 {
		t.Errorf("code %d, objects %q", code, w.objects)
	}
	same(t, "changes", []string{"put anything 100", "put anything 101", deleted("a")}, w.changes)
	contains(t, out, "this release cannot read it either: decode a plain record: tenant is required", "the limit is 262144")
}
