package fanout_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/fanout"
)

// Operators and cmd/redrive read records that any earlier release quarantined.
func TestQuarantinedRecordFormat(t *testing.T) {
	const text = `{"reason":"of kind 9","event_source_arn":"arn:stream","event_id":"shardId-000000000006:4959","partition_key":"0#acme","arrived_at":"2026-03-01T12:00:00.123Z","data":"AAH/"}`
	quarantined := fanout.Quarantined{
		Reason: "of kind 9", Stream: "arn:stream", EventID: "shardId-000000000006:4959", PartitionKey: "0#acme",
		Arrived: time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC), Data: []byte{0, 1, 0xff},
	}
	if got, err := json.Marshal(quarantined); err != nil || string(got) != text {
		t.Errorf("got %s, %v, want %s", got, err, text)
	}
	got, err := fanout.ParseQuarantined([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(quarantined, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if old, err := fanout.ParseQuarantined([]byte(`{"event_source_arn":"arn:stream","partition_key":"0#acme"}`)); err != nil || !old.Arrived.IsZero() {
		t.Errorf("one of an earlier release: %+v, %v", old, err)
	}
	if fanout.QuarantinePrefix != "malformed/" {
		t.Errorf("they are stored under %q", fanout.QuarantinePrefix)
	}
}

func TestParseQuarantinedRejects(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                 "it is not a quarantined record: unexpected end of JSON input",
		`[]`:                                "it is not a quarantined record: json: cannot unmarshal array",
		`{"event_source_arn":"arn:stream"}`: "it is not a quarantined record: partition_key or event_source_arn is missing",
		`{"partition_key":"0#acme"}`:        "it is not a quarantined record: partition_key or event_source_arn is missing",
	} {
		got, err := fanout.ParseQuarantined([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if diff := cmp.Diff(fanout.Quarantined{}, got); diff != "" {
			t.Errorf("%s is read as (-want +got):\n%s", text, diff)
		}
	}
}
