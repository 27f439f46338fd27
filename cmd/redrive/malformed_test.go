package main

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/fanout"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
)

// quarantinedText is an object as fanout writes it.
func quarantinedText(key string, data []byte) string {
	return `{
  "reason": "decode a record: it is of kind 3",
  "event_source_arn": "arn:aws:kinesis:eu-central-1:123456789012:stream/events",
  "event_id": "shardId-000000000000:1",
  "partition_key": "` + key + `",
  "data": "` + base64.StdEncoding.EncodeToString(data) + `"
}`
}

// fromBucket runs the command, without the confirmation.
func (w *world) fromBucket(args ...string) (code int, out, stderr string) {
	w.t.Helper()
	return w.command("", append([]string{"--bucket", "b", "--yes"}, args...)...)
}

func TestReadableObjectsArePutBack(t *testing.T) {
	w := newWorld(t)
	w.publish("0#acme") // of which the object has the data
	w.objects = map[string]string{
		"log/segment":        "not ours",
		"malformed/s/1.json": quarantinedText("0#acme", data(100)),
		"malformed/s/2.json": quarantinedText("0#acme", []byte{3, 1, 4}),
		"malformed/s/3.json": "{}",
		"malformed/s/4.json": quarantinedText("0#acme", wire.EncodeMarker(time.UnixMilli(1))),
	}
	code, out, stderr := w.fromBucket()
	if code != exitKept || len(w.objects) != 3 {
		t.Errorf("code %d, objects %q", code, w.objects)
	}
	same(t, "changes", []string{"put 0#acme 100", "delete object malformed/s/1.json", "delete object malformed/s/4.json"}, w.changes)
	contains(t, out, "this release cannot read it either: decode a record: it is of kind 3", "partition_key or event_source_arn is missing", "Done: 2 put back (1 records), 2 kept.")
	contains(t, stderr, "2 of 4 were kept")
}

func TestObjectIsKeptUntilItsRecordIsBack(t *testing.T) {
	for name, set := range map[string]func(*world){
		"it cannot be put":     func(w *world) { w.failing["PutRecords"] = errFault },
		"it cannot be deleted": func(w *world) { w.failing["DeleteObject"] = errFault },
		"another stream's": func(w *world) {
			w.objects["malformed/s/1.json"] = strings.Replace(quarantinedText("0#acme", data(1)), "stream/events", "stream/other", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.objects["malformed/s/1.json"] = quarantinedText("0#acme", data(1))
			set(w)
			if code, out, _ := w.fromBucket(); code != exitKept || len(w.objects) != 1 {
				t.Errorf("code %d, objects %q, %s", code, w.objects, out)
			}
		})
	}
}

func TestUnreadableBucket(t *testing.T) {
	w := newWorld(t)
	w.failing["ListObjectsV2"] = errFault
	code, _, stderr := w.fromBucket()
	if code != exitKept {
		t.Errorf("code %d", code)
	}
	contains(t, stderr, "list aws/lambda/", "list malformed/", errFault.Error())
}

func FuzzParseQuarantined(f *testing.F) {
	f.Add([]byte(quarantinedText("0#acme", data(1))))
	f.Add([]byte(`{"data":"?"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := fanout.ParseQuarantined(text); err == nil && (p.PartitionKey == "" || p.Stream == "") {
			t.Errorf("%q is parsed as %+v", text, p)
		}
	})
}
