package main

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/eventlog"
)

const eventsStream = "arn:aws:kinesis:eu-central-1:123456789012:stream/events"

func TestParseInvocation(t *testing.T) {
	const start, end = "49590338271490256608559692538361571095921575989136588898", "49590338271490256608559692540925702759324208523137515618"
	got, err := parseInvocation(about(eventsStream, start, end, 100))
	if err != nil {
		t.Fatal(err)
	}
	if got.stream != "events" || got.shard != "shardId-000000000000" || got.start != start || got.end != end || got.size != 100 || got.reason != "RecordAgeExceeded" || got.arrived.Hour() != 12 {
		t.Errorf("%+v", got)
	}
	for text, says := range map[string]string{
		"":   "not a record of a failed invocation",
		"{}": "has no KinesisBatchInfo",
		about("arn:aws:dynamodb:a:1:table/x", "1", "2", 1): "does not name a stream",
		about(eventsStream, "2", "1", 1):                   "not a range of sequence numbers",
		about(eventsStream, "", "1", 1):                    "not a range of sequence numbers",
		about(eventsStream, "-1", "1", 1):                  "not a range of sequence numbers",
		strings.Replace(about(eventsStream, "1", "1", 1), `"shardId":"shardId-000000000000"`, `"x":1`, 1): "shardId is missing",
	} {
		if _, err := parseInvocation(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Sequence numbers are compared as numbers, not as text.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"9", "10", -1},
		{"10", "9", 1},
		{"10", "10", 0},
		{"010", "10", 0},
		{"0", "", 0},
		{"49590338271490256608559692538361571095921575989136588898", "49590338271490256608559692538361571095921575989136588899", -1},
	} {
		if got := eventlog.CompareSequences(c.a, c.b); got < 0 != (c.want < 0) || got > 0 != (c.want > 0) {
			t.Errorf("CompareSequences(%s, %s) = %d", c.a, c.b, got)
		}
	}
}

func FuzzParseInvocation(f *testing.F) {
	f.Add(about(eventsStream, "1", "2", 1))
	f.Add(`{"KinesisBatchInfo":{"streamArn":":stream/","shardId":"s"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseInvocation(text)
		if err == nil && (b.stream == "" || b.shard == "" || eventlog.CompareSequences(b.start, b.end) > 0) {
			t.Errorf("%q is parsed as %+v", text, b)
		}
	})
}
