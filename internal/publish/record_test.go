package publish_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish"
)

func TestParseRecord(t *testing.T) {
	for text, want := range map[string]event.Draft{
		`{"tenant":"acme","name":"order.created","payload":{"n":1}}`: {
			Tenant: "acme", Name: "order.created", Payload: []byte(`{"n":1}`),
		},
		"\n{\"payload\": { \"n\" : 1.50 },\n \"name\":\"order.created\", \"id\":\"01890A5D-AC96-774B-BCCE-B302099A8057\", \"tenant\":\"a\\u0062\"}\n": {
			Tenant: "ab", ID: "01890a5d-ac96-774b-bcce-b302099a8057", Name: "order.created", Payload: []byte(`{"n":1.50}`),
		},
		`{"tenant":"acme","id":null,"name":"order.created","payload":{}}`: {Tenant: "acme", Name: "order.created", Payload: []byte(`{}`)},
	} {
		got, err := publish.ParseRecord([]byte(text), 1000)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

// A producer sees the reason in the quarantined record, so it speaks of records and not of
// calls or access tokens.
func TestParseRecordSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"order.created","payload":{}}`:                                                        `tenant is required: the tenant that gets the event.`,
		`{"tenant":"","name":"order.created","payload":{}}`:                                            `tenant is not a valid tenant: "" `,
		`{"tenant":"a/b","name":"order.created","payload":{}}`:                                         `tenant is not a valid tenant: "a/b" `,
		`{"tenant":7,"name":"order.created","payload":{}}`:                                             `tenant must be a string.`,
		`{"tenant":"acme","payload":{}}`:                                                               `name is required: `,
		`{"tenant":"acme","name":"Order","payload":{}}`:                                                `name "Order" is not an event name; `,
		`{"tenant":"acme","name":"order.created"}`:                                                     `payload is required: a JSON object.`,
		`{"tenant":"acme","name":"order.created","payload":""}`:                                        `payload must be a JSON object.`,
		`{"tenant":"acme","name":"order.created","payload":{},"id":"7"}`:                               `id "7" is not a UUID; `,
		`{"tenant":"acme","name":"order.created","payload":{},"published_at":"2026-01-01"}`:            `published_at is set by the service; leave it out.`,
		`{"tenant":"acme","name":"order.created","payload":{},"source":"shop"}`:                        `source is not a known field; a record has tenant, id, name and payload.`,
		`{"tenant":"acme","name":"order.created","payload":{}} {}`:                                     `another value follows the first; put each event in a record of its own`,
		`{"tenant":"acme","name":"order.created","payload":{"a":"` + strings.Repeat("x", 1000) + `"}}`: `The event has 1059 bytes; the limit is 1000.`,
		`{"tenant":"acme","name":"order.created","payload":{`:                                          "",
		`[]`: `The event must be a JSON object with name and payload.`,
		``:   "",
	} {
		_, err := publish.ParseRecord([]byte(text), 1000)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
