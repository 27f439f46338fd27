package dynamo

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// typed is an item in the form in which DynamoDB takes it: the type of each
// attribute, and its value.
func typed(it item) map[string]string {
	all := map[string]string{}
	for name, v := range it {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			all[name] = "S " + v.Value
		case *types.AttributeValueMemberN:
			all[name] = "N " + v.Value
		case *types.AttributeValueMemberB:
			all[name] = "B"
		}
	}
	return all
}

func TestRecordsAreStoredAs(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 6, 1, 12, 0, 0, 1, time.UTC) // past its millisecond: due in the next
	cursor, err := newItem(cursorKey(handoff.Key{Tenant: "acme", Integration: "hook"}), handoff.Cursor{State: handoff.Parked})
	if err != nil {
		t.Fatal(err)
	}
	cursorKey(handoff.Key{Tenant: "acme", Integration: "hook"}).at(cursor, kindDue, at)
	cursor[attrVersion] = versionNumber(18446744073709551615)
	tenant, err := newItem(tenantKey("acme"), store.Tenant{Name: "acme", Integrations: 3, Generation: 18446744073709551615, Version: 7})
	if err != nil {
		t.Fatal(err)
	}
	tenantKey("acme").at(tenant, kindDue, time.Time{})
	tenant[attrExpires] = expires(at, time.Hour)
	draft := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "order.created", Payload: []byte(`{}`)}
	h := store.History{Tenant: "acme", Integration: "hook", Incarnation: 5}
	rejected, err := encodeRejected(rejectedKey(h, draft.ID), &integration.Rejected{Event: draft.Stamp("acme", at), CreatedAt: at, Attempts: 2, RetryUntil: at.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		got  item
		want map[string]string
	}{
		{cursor, map[string]string{
			"pk": "S P#0#acme", "sk": "S CURSOR#hook", "doc": `S {"generation":0,"state":"parked","position":{"segment":0,"index":0}}`,
			"version": "N 18446744073709551615", "timetable": "S due#3", "due": "N 1748779200001",
		}},
		{tenant, map[string]string{
			"pk": "S T#acme", "sk": "S TENANT", "doc": `S {"integrations":3,"generation":18446744073709551615}`, "expires": "N 1748782801",
		}},
		{rejected, map[string]string{
			"pk": "S H#5#hook#acme", "sk": "S R#6f1c4f0e-0000-4000-8000-000000000001", "event": "B",
			"doc": `S {"created_at":"2025-06-01T12:00:00.000000001Z","attempts":2,"retry_until":"2025-06-01T12:01:00.000000001Z"}`,
		}},
	} {
		if diff := cmp.Diff(c.want, typed(c.got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
