package integration_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/store/storetest"
)

// Clients and databases depend on these names.
func TestAPINames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(integration.Permanent), "permanent"},
		{string(integration.Temporary), "temporary"},
		{string(integration.Running), "running"},
		{string(integration.Stopping), "stopping"},
		{string(integration.Stopped), "stopped"},
		{string(integration.ActionCreated), "integration_created"},
		{string(integration.ActionStarted), "integration_started"},
		{string(integration.ActionStopped), "integration_stopped"},
		{string(integration.ActionUpdated), "integration_updated"},
		{string(integration.ActionRetryTriggered), "retry_triggered"},
		{string(integration.ActionRecovered), "delivery_recovered"},
		{string(integration.ActionEventRejected), "event_rejected"},
		{string(integration.ActionRejectedRetried), "rejected_event_retried"},
		{string(integration.ActionRejectedDeleted), "rejected_event_deleted"},
		{string(integration.ActionRejectedEvicted), "rejected_event_evicted"},
		{string(integration.ActionEventsSkipped), "events_skipped"},
		{string(integration.ActionUnreachable), "target_unreachable"},
		// A ciphertext opens only under the field name it was sealed under.
		{integration.FieldAPIKey, "api_key"},
		{integration.FieldSigningSecret, "signing_secret"},
		{integration.FieldSecretAccessKey, "aws_secret_access_key"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestIntegrationIsStoredAs(t *testing.T) {
	sealed := func(text string) secret.Sealed {
		return secret.Sealed{Ciphertext: []byte(text), Mask: "********" + text}
	}
	storetest.StoredAs(t, integration.Integration{}, `{"tenant":"","id":"","type":"","running":false,"generation":0,"incarnation":0,"lanes":0,"open_lanes":0,"created_at":"0001-01-01T00:00:00Z"}`)
	storetest.StoredAs(t, integration.Integration{S3: &integration.S3{}},
		`{"tenant":"","id":"","type":"","s3":{"access_key_id":"","secret_access_key":{},"region":"","bucket":""},"running":false,"generation":0,"incarnation":0,"lanes":0,"open_lanes":0,"created_at":"0001-01-01T00:00:00Z"}`)
	storetest.StoredAs(t, integration.Integration{
		Tenant: "acme", ID: "hook", Type: integration.Temporary, StartsAt: now, EndsAt: now.Add(time.Hour),
		Webhook: &integration.Webhook{
			URL: "https://example.com/x", APIKey: sealed("one"), SigningSecret: sealed("two"), PreviousSecret: sealed("three"), PreviousExpires: now.Add(2 * time.Hour),
		},
		Filter:  event.Filter{Names: []string{"order.created"}, Entities: []string{"return"}},
		Running: true, QuietAt: now.Add(3 * time.Hour), Generation: 18446744073709551615, Incarnation: 4, Lanes: 5, OpenLanes: 6,
		CreatedAt: now.Add(4 * time.Hour), StoppedAt: now.Add(5 * time.Hour), OldestWaiting: now.Add(-time.Hour), CompletedAt: now.Add(6 * time.Hour),
	}, `{"tenant":"acme","id":"hook","type":"temporary","starts_at":"2025-06-01T12:00:00Z","ends_at":"2025-06-01T13:00:00Z",`+
		`"webhook":{"url":"https://example.com/x","api_key":{"ciphertext":"b25l","mask":"********one"},`+
		`"signing_secret":{"ciphertext":"dHdv","mask":"********two"},"previous_secret":{"ciphertext":"dGhyZWU=","mask":"********three"},`+
		`"previous_expires":"2025-06-01T14:00:00Z"},"filter":{"names":["order.created"],"entities":["return"]},`+
		`"running":true,"quiet_at":"2025-06-01T15:00:00Z","generation":18446744073709551615,"incarnation":4,"oldest_waiting":"2025-06-01T11:00:00Z","lanes":5,"open_lanes":6,`+
		`"created_at":"2025-06-01T16:00:00Z","stopped_at":"2025-06-01T17:00:00Z","completed_at":"2025-06-01T18:00:00Z"}`)
}

func TestTargetsAreStoredAs(t *testing.T) {
	storetest.StoredAs(t, integration.Webhook{URL: "http://h"}, `{"url":"http://h"}`)
	storetest.StoredAs(t, integration.Webhook{URL: "http://h", APIKey: secret.Sealed{Ciphertext: []byte("one"), Mask: "********", Bound: true}},
		`{"url":"http://h","api_key":{"ciphertext":"b25l","mask":"********","bound":true}}`)
	storetest.StoredAs(t, integration.S3{
		AccessKeyID: "AKIA", SecretAccessKey: secret.Sealed{Ciphertext: []byte{0xff}, Mask: "********"}, Region: "eu-central-1", Bucket: "bucket", KeyPrefix: "a/b", Endpoint: "https://s3.example.com",
	}, `{"access_key_id":"AKIA","secret_access_key":{"ciphertext":"/w==","mask":"********"},"region":"eu-central-1","bucket":"bucket","key_prefix":"a/b","endpoint":"https://s3.example.com"}`)
	storetest.StoredAs(t, integration.S3{}, `{"access_key_id":"","secret_access_key":{},"region":"","bucket":""}`)
}

func TestHistoryIsStoredAs(t *testing.T) {
	storetest.StoredAs(t, integration.LogEntry{Action: integration.ActionEventRejected, Reason: "It was refused.", CreatedAt: now},
		`{"action":"event_rejected","reason":"It was refused.","created_at":"2025-06-01T12:00:00Z"}`)
	storetest.StoredAs(t, integration.RejectedRef{EventID: "6f1c4f0e-0000-4000-8000-000000000001", CreatedAt: now},
		`{"id":"6f1c4f0e-0000-4000-8000-000000000001","created_at":"2025-06-01T12:00:00Z"}`)
	storetest.StoredAs(t, integration.RejectedCount{Kept: 2, Newest: now}, `{"kept":2,"newest":"2025-06-01T12:00:00Z"}`)
	storetest.StoredAs(t, integration.RejectedCount{}, `{"kept":0}`)
}

func TestVersionsAreNotStored(t *testing.T) {
	text, err := json.Marshal(integration.Integration{Version: 7})
	if err != nil {
		t.Fatal(err)
	}
	var read map[string]any
	if err := json.Unmarshal(text, &read); err != nil || read["version"] != nil || read["Version"] != nil {
		t.Errorf("%s, %v", text, err)
	}
}

// A client that reads "stopped" gets no more events, so it must not read it
// before QuietAt.
func TestStatusAtTheEndOfAStop(t *testing.T) {
	for _, c := range []struct {
		name string
		in   integration.Integration
		want integration.Status
	}{
		{"running", integration.Integration{Running: true}, "running"},
		{"running again before it was quiet", integration.Integration{Running: true, QuietAt: now.Add(time.Hour)}, "running"},
		{"a nanosecond before", integration.Integration{QuietAt: now.Add(time.Nanosecond)}, "stopping"},
		{"the moment", integration.Integration{QuietAt: now}, "stopped"},
		{"after", integration.Integration{QuietAt: now.Add(-time.Nanosecond)}, "stopped"},
		{"at once", integration.Integration{}, "stopped"},
	} {
		if got := c.in.StatusAt(now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A replay's time span is part of its filter, both ends included.
func TestEventFilterHasTheSpan(t *testing.T) {
	in := integration.Integration{StartsAt: now, EndsAt: now.Add(time.Hour), Filter: event.Filter{Names: []string{"order.created"}, Entities: []string{"return"}}}
	want := event.Filter{Names: []string{"order.created"}, Entities: []string{"return"}, From: now, Until: now.Add(time.Hour)}
	if diff := cmp.Diff(want, in.EventFilter()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if in.Filter.From != (time.Time{}) || in.Filter.Until != (time.Time{}) {
		t.Error("the integration's own filter was changed")
	}
}
