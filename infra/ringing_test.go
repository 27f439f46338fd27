package main

import (
	"slices"
	"testing"
)

// newVersion is the key of the crashes of a version that has a part of the calls.
const newVersion = "Errors Api Resource=${Api}:live ExecutedVersion=ApiVersion.Version"

// recordings are what CloudWatch would have in a period of 5 minutes each, as AWS's pages and
// the functions' logs tell: Lambda has no Invocations without an invocation, but Errors of 0 with
// one; ours are there when a function has something to say, and from each sweep.
var recordings = []struct {
	alarm, what string
	data        recording
	on          int // the period after which it first rings, from 1; 0 for never
}{
	// Nothing reads the stream.
	{"stream-unread", "the mapping is disabled", recording{"IncomingRecords Stream": "12*40", "Invocations Fanout": "6*25 6*."}, 9},
	{"stream-unread", "it was never enabled", recording{"IncomingRecords Stream": "4*7"}, 3},
	{"stream-unread", "an event in 45 minutes, and nothing reads", recording{"IncomingRecords Stream": "1 8*. 1 8*. 1 8*."}, 19},
	{"stream-unread", "an account without concurrency", recording{"IncomingRecords Stream": "4*9", "Invocations Fanout": "4*0"}, 3},
	{"stream-unread", "everything is read", recording{"IncomingRecords Stream": "36*40", "Invocations Fanout": "36*25"}, 0},
	{"stream-unread", "nobody publishes", recording{"IncomingRecords Stream": "1 35*.", "Invocations Fanout": "1 35*."}, 0},
	{"stream-unread", "events at the end of a period, read in the next", recording{"IncomingRecords Stream": "1 17*. 1 17*.", "Invocations Fanout": ". 1 17*. 1 16*."}, 0},
	{"stream-unread", "old batches fail, and nothing is published", recording{"Invocations Fanout": "36*5"}, 0},

	// It is read hours late. IteratorAge is in ms.
	{"stream-behind", "a batch fails for 3 hours", recording{"IteratorAge Fanout": "35*9000000 10500000,10900000"}, 36},
	{"stream-behind", "an outage of 2 hours, made up for", recording{"IteratorAge Fanout": "12*3600000 12*7200000 1800000 3*200 8*."}, 0},

	// fanout returns failures; that is no error to Lambda.
	{"functions-failing", "DynamoDB is out", recording{"BatchesFailed": ". 1,1,1,1 1,1 1 1", "Errors Fanout": "5*0", "Errors Sweep": "5*."}, 4},
	{"functions-failing", "fanout runs out of memory", recording{"Errors Fanout": "0 2 3 1 4"}, 4},
	{"functions-failing", "a cursor that fails again and again", recording{"Errors Advance": "1 1 2"}, 3},
	{"functions-failing", "each sweep fails", recording{"Errors Sweep": "2 2 2"}, 3},
	{"functions-failing", "a failure that the next attempt repairs", recording{"BatchesFailed": "1 . . 1 1", "Errors Fanout": "5*0"}, 0},
	{"functions-failing", "receivers that fail", recording{"Errors Fanout": "9*0", "Errors Advance": "9*0", "Errors Sweep": "9*0"}, 0},

	// The bucket has batches that Lambda gave up.
	{"batches-given-up", "two batches, until they are redriven", recording{"BatchesGivenUp": "0 2 . 2 0"}, 2},
	{"batches-given-up", "the bucket takes none", recording{"BatchesGivenUp": "3*0", "DestinationDeliveryFailures Fanout": ". . 1"}, 3},
	{"batches-given-up", "none", recording{"BatchesGivenUp": "0 0,0 . 0"}, 0},

	{"data-unreadable", "a newer release wrote a record", recording{"MalformedRecords": ". 1"}, 2},
	{"data-unreadable", "a segment is damaged", recording{"EventsSkipped": "100"}, 1},
	{"data-unreadable", "all is read", recording{}, 0},

	// The contract's 502 of a retry is in none of these; TestOnlyOurOwnErrorsAreCounted.
	{"api-failing", "the stream refuses what is published", recording{"ServerErrors": "1,1,1 1,1,1,1,1 1,1,1,1,1,1", "Errors Api": "3*0"}, 3},
	{"api-failing", "it crashes", recording{"Errors Api": "9 9"}, 2},
	{"api-failing", "no concurrency is left", recording{"Throttles Api": "5 2 7"}, 3},
	{"api-failing", "some errors, and a short burst", recording{"ServerErrors": "1 . 30 . 1 1", "Errors Api": "6*0", "Throttles Api": "6*0"}, 0},

	// Periods of a minute, while the alias has two versions.
	{"api-canary", "the new version crashes", recording{newVersion: ". 0 1"}, 3},
	{"api-canary", "its role lacks a permission", recording{newVersion: "3*0", "ServerErrors": ". 2 6"}, 3},
	{"api-canary", "it has some errors, as the version before", recording{newVersion: "5*0", "ServerErrors": "2 . 4 1 2"}, 0},
	{"api-canary", "no deployment, and nobody calls", recording{newVersion: "5*."}, 0},

	// Each sweep writes for how long the most overdue cursor has been due.
	{"cursors-overdue", "Step Functions starts nothing", recording{"OverdueSeconds": "0 350 650 950 1250 1550"}, 6},
	{"cursors-overdue", "the schedule is disabled", recording{"OverdueSeconds": "0 0 3*."}, 5},
	{"cursors-overdue", "a crash, which the next sweep repairs", recording{"OverdueSeconds": "0 320 0 0 70,290 0"}, 0},
	{"cursors-overdue", "a sweep that comes late", recording{"OverdueSeconds": "0 . 0,0 . 0"}, 0},
	{"cursors-overdue", "webhooks that are down are due at their next attempt", recording{"OverdueSeconds": "12*0"}, 0},
}

// Every alarm rings for what it is there for, and for nothing else.
func TestAlarmsRing(t *testing.T) {
	alarms, rang, silent := alarmsOf(t), map[string]bool{}, map[string]bool{}
	for _, c := range recordings {
		p, known := alarms[c.alarm]
		if !known {
			t.Errorf("there is no alarm %s", c.alarm)
			continue
		}
		data := c.data
		if len(data) == 0 {
			data = recording{seriesOf(p)[0].key(): "6*."}
		}
		on := slices.Index(ringing(t, p, data), true) + 1
		if on != c.on {
			t.Errorf("%s, %s: it rings after period %d, want %d", c.alarm, c.what, on, c.on)
		}
		rang[c.alarm], silent[c.alarm] = rang[c.alarm] || on > 0, silent[c.alarm] || on == 0
	}
	for name := range alarms {
		if !rang[name] || !silent[name] {
			t.Errorf("%s: rang %v, was silent %v; record both", name, rang[name], silent[name])
		}
	}
}

// It is over when the cause is.
func TestAlarmsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		data recording
		off  int // periods after the repair
	}{
		"batches-given-up":  {recording{"BatchesGivenUp": "1 1 1 8*0"}, 3},
		"functions-failing": {recording{"BatchesFailed": "1 1 1 8*."}, 1},
		"cursors-overdue":   {recording{"OverdueSeconds": "3*2000 8*0"}, 1},
		"stream-unread":     {recording{"IncomingRecords Stream": "43*5", "Invocations Fanout": "3*. 40*5"}, 34},
	} {
		on := ringing(t, alarmsOf(t)[name], c.data)
		if off := slices.Index(on[2:], false); !on[2] || off != c.off {
			t.Errorf("%s ends %d periods after the repair, want %d: %v", name, off, c.off, on)
		}
	}
}
