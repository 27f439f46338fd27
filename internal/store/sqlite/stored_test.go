package sqlite_test

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Every later release must be able to read these rows. The JSON of the records is
// pinned where they are declared.
func TestRowsAreStoredAs(t *testing.T) {
	s, db := open(t, t.TempDir())
	at := time.Date(2025, 6, 1, 12, 0, 0, 123_456_789, time.UTC)
	h := store.History{Tenant: "acme", Integration: "hook", Incarnation: 18446744073709551615}
	draft := event.Draft{ID: "6f1c4f0e-0000-4000-8000-000000000001", Name: "order.created", Payload: []byte(`{}`)}
	put(t, s,
		store.PutTenant{Tenant: &store.Tenant{Name: "acme", Integrations: 3, Generation: 18446744073709551615}},
		store.PutTenant{Tenant: &store.Tenant{Name: "large", Lanes: 4}},
		store.PutLanes{Lanes: &store.Lanes{Open: map[string]int{"large": 4}}},
		store.PutIntegration{Integration: &integration.Integration{Tenant: "acme", ID: "hook", CompletedAt: at}},
		store.PutPartition{State: &handoff.PartitionState{Partition: event.Partition{Tenant: "acme", Lane: 2}, LowWatermark: 9}},
		store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "acme", Integration: "hook", Lane: 2}, State: handoff.Paused}},
		store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "acme", Integration: "due", Lane: 2}, State: handoff.Scheduled, DueAt: at}},
		store.AddEntry{History: h, Entry: integration.LogEntry{Action: integration.ActionStarted, Reason: "By a call.", CreatedAt: at}},
		store.PutAlert{Alert: &store.Alert{History: h, Number: 3, Kind: integration.AlertFailing, At: at, DueAt: at.Add(time.Minute), Payload: []byte(`{"id":"hook"}`)}},
		store.PutRejectedCount{History: h, Count: &integration.RejectedCount{Kept: 1, Newest: at}},
		store.PutRejected{History: h, Rejected: &integration.Rejected{Event: draft.Stamp("acme", at), CreatedAt: at, Reason: integration.ReasonSkipped, Status: 503, Attempts: 2, RetryUntil: at.Add(time.Minute)}})
	for query, want := range map[string]string{
		`SELECT tenant || ' ' || CAST(data AS TEXT) FROM tenants WHERE tenant = 'large'`:                                                                    `large {"integrations":0,"generation":0,"lanes":4}`,
		`SELECT tenant || ' ' || CAST(data AS TEXT) FROM tenants WHERE tenant = ''`:                                                                         ` {"open":{"large":4}}`,
		`SELECT tenant || ' ' || CAST(data AS TEXT) FROM tenants WHERE tenant = 'acme'`:                                                                     `acme {"integrations":3,"generation":18446744073709551615}`,
		`SELECT tenant || ' ' || id || ' ' || completed_at FROM integrations`:                                                                               `acme hook 1748779200123456789`,
		`SELECT tenant || ' ' || lane || ' ' || CAST(data AS TEXT) FROM records`:                                                                            `acme 2 {"delivered":9}`,
		`SELECT tenant || ' ' || integration || ' ' || lane || ' ' || ifnull(due_at, 'never') FROM cursors WHERE integration = 'hook'`:                      `acme hook 2 never`,
		`SELECT tenant || ' ' || integration || ' ' || lane || ' ' || due_at FROM cursors WHERE integration = 'due'`:                                        `acme due 2 1748779200123456789`,
		`SELECT tenant || ' ' || integration || ' ' || incarnation || ' ' || created_at || ' ' || CAST(data AS TEXT) FROM entries`:                          `acme hook -1 1748779200123456789 {"action":"integration_started","reason":"By a call.","created_at":"2025-06-01T12:00:00.123456789Z"}`,
		`SELECT tenant || ' ' || integration || ' ' || incarnation || ' ' || number || ' ' || due_at || ' ' || CAST(data AS TEXT) FROM alerts`:              `acme hook -1 3 1748779260123456789 {"history":{"tenant":"acme","integration":"hook","incarnation":18446744073709551615},"number":3,"kind":"failing","at":"2025-06-01T12:00:00.123456789Z","due_at":"2025-06-01T12:01:00.123456789Z","payload":{"id":"hook"}}`,
		`SELECT tenant || ' ' || integration || ' ' || incarnation || ' ' || CAST(data AS TEXT) FROM rejected_counts`:                                       `acme hook -1 {"kept":1,"newest":"2025-06-01T12:00:00.123456789Z"}`,
		`SELECT tenant || ' ' || integration || ' ' || incarnation || ' ' || created_at || ' ' || event_id || ' ' || CAST(data AS TEXT) FROM rejected_list`: `acme hook -1 1748779200123456789 6f1c4f0e-0000-4000-8000-000000000001 {"name":"order.created","reason":"skipped","status":503}`,
		`SELECT tenant || ' ' || integration || ' ' || incarnation || ' ' || event_id || ' ' || CAST(data AS TEXT) FROM rejected`:                           `acme hook -1 6f1c4f0e-0000-4000-8000-000000000001 {"created_at":"2025-06-01T12:00:00.123456789Z","reason":"skipped","status":503,"attempts":2,"retry_until":"2025-06-01T12:01:00.123456789Z"}`,
		`SELECT hex(substr(event, 1, 3)) || ' ' || CAST(substr(event, 4, 36) AS TEXT) FROM rejected`:                                                        `010131 6f1c4f0e-0000-4000-8000-000000000001`,
	} {
		var got string
		if found, err := db.QueryRow(t.Context(), query, nil, &got); err != nil || !found || got != want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", query, got, err, want)
		}
	}
}
