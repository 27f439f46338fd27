package event_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
)

const (
	idA = "01890a5d-ac96-774b-bcce-b302099a8057"
	idB = "6f1c4f0e-0000-4000-8000-000000000001"
)

// The lane of an id never changes: a later release must find an event where an
// earlier one stored it.
func TestLanesAreStable(t *testing.T) {
	for _, c := range []struct {
		id    string
		lanes int
		want  int
	}{
		{idA, -1, 0},
		{idA, 0, 0},
		{idA, 1, 0},
		{idA, 2, 1},
		{idA, 3, 1},
		{idA, 4, 3},
		{idA, 5, 1},
		{idA, 7, 5},
		{idA, 16, 3},
		{idA, 31, 8},
		{idA, 32, 19},
		{idB, 2, 1},
		{idB, 3, 0},
		{idB, 4, 3},
		{idB, 5, 0},
		{idB, 7, 1},
		{idB, 16, 11},
		{idB, 31, 18},
		{idB, 32, 11},
		{"00000000-0000-0000-0000-000000000000", 32, 17},
		{"ffffffff-ffff-4fff-bfff-ffffffffffff", 32, 11},
		{"", 32, 5},
		{"a", 32, 12},
		{"foobar", 32, 8},
	} {
		if got := event.LaneOf(c.id, c.lanes); got != c.want {
			t.Errorf("LaneOf(%q, %d) = %d, want %d", c.id, c.lanes, got, c.want)
		}
	}
}

// Receivers parse the body and verify its signature, so every byte matters.
func TestStampWritesTheBody(t *testing.T) {
	at := time.Date(2026, 3, 1, 13, 0, 0, 123_999_999, time.FixedZone("", 3600))
	for _, c := range []struct{ name, tenant, json string }{
		{"plain", "acme", `"acme"`},
		{"empty", "", `""`},
		{"quote", `a"b`, `"a\"b"`},
		{"backslash", `a\b`, `"a\\b"`},
		{"backslash at the end", `a\`, `"a\\"`},
		{"newline", "a\nb", `"a\u000ab"`},
		{"first and last control characters", "\x00\x1f", `"\u0000\u001f"`},
		{"tab, return, escape", "\t\r\x1b", `"\u0009\u000d\u001b"`},
		{"space and delete", " \x7f", "\" \x7f\""},
		{"slash and angles", "</>&'", `"</>&'"`},
		{"two bytes", "müller", `"müller"`},
		{"line separator", "a\u2028b\u2029", "\"a\u2028b\u2029\""},
		{"beyond the basic plane", "a\U0001F600b", "\"a\U0001F600b\""},
	} {
		got := event.Draft{ID: idA, Name: "order.items_cancelled", Payload: []byte(`{"n":1}`)}.Stamp(c.tenant, at)
		want := event.Event{
			ID: idA, Tenant: c.tenant, Name: "order.items_cancelled",
			PublishedAt: time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC),
			Body: []byte(`{"id":"01890a5d-ac96-774b-bcce-b302099a8057","tenant":` + c.json +
				`,"name":"order.items_cancelled","published_at":"2026-03-01T12:00:00.123Z","payload":{"n":1}}`),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s\nbody %s", c.name, diff, got.Body)
		}
		if got.PublishedAt.Location() != time.UTC {
			t.Errorf("%s: published_at is in %v", c.name, got.PublishedAt.Location())
		}
		var read struct {
			Tenant string `json:"tenant"`
		}
		if err := json.Unmarshal(got.Body, &read); err != nil || read.Tenant != c.tenant {
			t.Errorf("%s: tenant %q is read back as %q, %v", c.name, c.tenant, read.Tenant, err)
		}
	}
}

// All deliveries share a body: it must share no memory with another body or with
// the payload.
func TestStampLeavesThePayloadAlone(t *testing.T) {
	payload := append(make([]byte, 0, 500), `{"n":1}`...)
	d := event.Draft{ID: idA, Name: "order.created", Payload: payload}
	first, second := d.Stamp("acme", time.UnixMilli(1)), d.Stamp("other", time.UnixMilli(2))
	if string(payload) != `{"n":1}` || !strings.Contains(string(first.Body), `"acme"`) || !strings.Contains(string(second.Body), `"other"`) {
		t.Errorf("payload %s, bodies %s and %s", payload, first.Body, second.Body)
	}
}

func TestFormatTime(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2019, 1, 17, 12, 0, 0, 0, time.UTC), "2019-01-17T12:00:00.000Z"},
		{time.Date(2019, 1, 17, 12, 0, 0, 1_000_000, time.UTC), "2019-01-17T12:00:00.001Z"},
		{time.Date(2019, 1, 17, 12, 0, 0, 120_000_000, time.UTC), "2019-01-17T12:00:00.120Z"},
		{time.Date(2019, 12, 31, 23, 59, 59, 999_999_999, time.UTC), "2019-12-31T23:59:59.999Z"},
		{time.Date(2020, 1, 1, 1, 30, 0, 0, time.FixedZone("", 2*3600)), "2019-12-31T23:30:00.000Z"},
		{time.Date(2019, 12, 31, 20, 0, 0, 0, time.FixedZone("", -5*3600)), "2020-01-01T01:00:00.000Z"},
		{time.Time{}, "0001-01-01T00:00:00.000Z"},
	} {
		if got := event.FormatTime(c.at); got != c.want {
			t.Errorf("FormatTime(%v) = %s, want %s", c.at, got, c.want)
		}
	}
}

func TestEntity(t *testing.T) {
	for name, want := range map[string]string{
		"order.created": "order", "refund_request.declined": "refund_request", "a.b.c": "a", "order": "order", "": "",
	} {
		if got := event.Entity(name); got != want {
			t.Errorf("Entity(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestValidName(t *testing.T) {
	longest := "a." + strings.Repeat("b", 126) // 128
	for name, want := range map[string]bool{
		"order.created": true, "order.items_cancelled": true, "a.b": true, "a.b.c.d": true, "a_.b_": true, "a0.b9": true, "az.za": true,
		"fulfillment_request.line_item2.sent": true,
		longest:                               true, longest + "b": false,
		"": false, ".": false, "order": false, "order.": false, ".created": false, "a..b": false, "a.b.": false, "a.b..c": false,
		"Order.created": false, "order.Created": false, "order.createD": false,
		"0a.b": false, "a.0b": false, "_a.b": false, "a._b": false,
		"a-b.c": false, "a.b-c": false, "a b.c": false, "a.b\n": false, "ü.b": false, "a.ü": false, "a.b\x00": false,
		// The characters on either side of each range.
		"a`.b": false, "a{.b": false, "a/.b": false, "a:.b": false, "a@.b": false, "a[.b": false, "a^.b": false,
		"`a.b": false, "{a.b": false, "a.`b": false, "a.{b": false,
	} {
		if got := event.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestValidEntity(t *testing.T) {
	longest := strings.Repeat("a", 128)
	for name, want := range map[string]bool{
		"order": true, "refund_request": true, "a": true, "z": true, "a9": true, "a0_z": true,
		longest: true, longest + "a": false,
		"": false, "order.created": false, "order.": false, "Order": false, "0a": false, "_a": false, "a-b": false, "a b": false, "ü": false, "aü": false,
		"a`": false, "a{": false, "a/": false, "a:": false, "`": false, "{": false,
	} {
		if got := event.ValidEntity(name); got != want {
			t.Errorf("ValidEntity(%q) = %v, want %v", name, got, want)
		}
	}
}

// Partition keys are stored, and are also the partition keys of the stream.
func TestPartitionKeysAreStable(t *testing.T) {
	for key, p := range map[string]event.Partition{
		"0#acme":      {Tenant: "acme"},
		"12#acme":     {Tenant: "acme", Lane: 12},
		"1#1#acme":    {Tenant: "1#acme", Lane: 1},
		"0##":         {Tenant: "#"},
		"3#a/../b":    {Tenant: "a/../b", Lane: 3},
		"3#müller  ":  {Tenant: "müller  ", Lane: 3},
		"2147483647#": {Lane: 2147483647},
	} {
		if got := p.Key(); got != key {
			t.Errorf("key of %+v is %q, want %q", p, got, key)
		}
		if got, ok := event.PartitionOf(key); p.Tenant != "" && (!ok || got != p) {
			t.Errorf("PartitionOf(%q) = %+v, %v, want %+v", key, got, ok, p)
		}
	}
	for _, key := range []string{
		"", "#", "0", "acme", "#acme", "0#", "-1#acme", "-0#acme", "+1#acme", "01#acme", "00#acme", " 1#acme", "1 #acme", "1.0#acme", "0x1#acme", "a#acme",
		"99999999999999999999#acme",
	} {
		if got, ok := event.PartitionOf(key); ok || got != (event.Partition{}) {
			t.Errorf("PartitionOf(%q) = %+v, %v, want none", key, got, ok)
		}
	}
}

func TestTimeOfID(t *testing.T) {
	for id, want := range map[string]string{
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398f":  "2022-02-22T19:22:22.000Z", // the example of RFC 9562
		"017F22E2-79B0-7CC3-B8C4-DC0C0C07398F":  "2022-02-22T19:22:22.000Z",
		"00000000-0000-7000-8000-000000000000":  "1970-01-01T00:00:00.000Z",
		"017f22e2-79b0-4cc3-98c4-dc0c0c07398f":  "", // another version
		"017f22e2-79b0-7cc3-c8c4-dc0c0c07398f":  "", // another variant
		"017f22e2-79b0-7cc3-78c4-dc0c0c07398f":  "",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398":   "",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398ff": "",
		"":                                      "",
	} {
		got := ""
		if at, ok := event.TimeOfID(id); ok {
			got = event.FormatTime(at)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}
