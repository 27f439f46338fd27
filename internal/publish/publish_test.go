package publish_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/settings"
)

// recorder is a Log that records the drafts.
type recorder struct {
	calls  int
	keys   []idempotency.Key
	drafts []event.Draft
	err    error
}

func (r *recorder) Publish(_ context.Context, tenant string, lanes event.Lanes, drafts []event.Draft) error {
	r.calls++
	r.drafts = append(r.drafts, drafts...)
	if tenant != "acme" || lanes.Each != 3 {
		return fmt.Errorf("tenant %q, lanes %+v", tenant, lanes)
	}
	return r.err
}

func (r *recorder) PublishOnce(ctx context.Context, key idempotency.Key, lanes event.Lanes, drafts []event.Draft) error {
	r.keys = append(r.keys, key)
	idempotency.Seed{1}.Fill(drafts)
	return r.Publish(ctx, key.Tenant, lanes, drafts)
}

func setup() (*publish.Service, *recorder) {
	s := settings.Default()
	s.Lanes, s.MaxEventBytes, s.MaxPublishBytes, s.MaxPublishEvents = 3, 1000, 5000, 5
	log := new(recorder)
	return publish.New(log, s), log
}

const (
	uuidA = "01890a5d-ac96-774b-bcce-b302099a8057"
	uuidB = "00000000-0000-0000-0000-000000000000"
)

func TestPublishAccepts(t *testing.T) {
	tests := []struct {
		name   string
		format publish.Format
		body   string
		want   []event.Draft
	}{
		{
			"one event", publish.JSON, `{"id":"` + uuidA + `","name":"order.created","payload":{}}`,
			[]event.Draft{{ID: uuidA, Name: "order.created", Payload: []byte(`{}`)}},
		},
		{
			"upper case id", publish.JSON, `{"id":"` + strings.ToUpper(uuidA) + `","name":"order.created","payload":{}}`,
			[]event.Draft{{ID: uuidA, Name: "order.created", Payload: []byte(`{}`)}},
		},
		{
			"white space, in any order", publish.JSON, "\n{ \"payload\" : {\r\n \"a b\" : [ 1 , \"x\\n y\" ] } ,\t\"name\": \"order.created\", \"id\" : \"" + uuidA + "\" } \n",
			[]event.Draft{{ID: uuidA, Name: "order.created", Payload: []byte(`{"a b":[1,"x\n y"]}`)}},
		},
		{
			"numbers and characters are preserved", publish.JSON,
			`{"id":"` + uuidA + `","name":"a.b.c_1","payload":{"n":[12345678901234567890123456789, 1.0, 1E+2, -0, 0.1000],"s":"\u00e9é` + "\u2028" + `\/<&"}}`,
			[]event.Draft{{ID: uuidA, Name: "a.b.c_1", Payload: []byte(`{"n":[12345678901234567890123456789,1.0,1E+2,-0,0.1000],"s":"\u00e9é` + "\u2028" + `\/<&"}`)}},
		},
		{
			"several", publish.JSON, `{"events":[{"id":"` + uuidA + `","name":"a.b","payload":{"x":{"y":null}}},{"id":"` + uuidB + `","name":"c.d","payload":{ }}]}`,
			[]event.Draft{{ID: uuidA, Name: "a.b", Payload: []byte(`{"x":{"y":null}}`)}, {ID: uuidB, Name: "c.d", Payload: []byte(`{}`)}},
		},
		{
			"lines", publish.NDJSON, "{\"id\":\"" + uuidA + "\",\"name\":\"a.b\",\"payload\":{ \"k\":1}}\r\n\n  \n{\"id\":\"" + uuidB + "\",\"name\":\"c.d\",\"payload\":{}}\n",
			[]event.Draft{{ID: uuidA, Name: "a.b", Payload: []byte(`{"k":1}`)}, {ID: uuidB, Name: "c.d", Payload: []byte(`{}`)}},
		},
		{
			"a line without an end", publish.NDJSON, `{"id":"` + uuidA + `","name":"a.b","payload":{}}`,
			[]event.Draft{{ID: uuidA, Name: "a.b", Payload: []byte(`{}`)}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, log := setup()
			ids, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: tt.format, Body: []byte(tt.body)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, log.drafts); diff != "" {
				t.Error(diff)
			}
			var want []string
			for _, d := range tt.want {
				want = append(want, d.ID)
			}
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each tenant pays for its own events of a call, and nobody for one that is refused.
func TestACallIsAdmittedByWhatItHasOfEachTenant(t *testing.T) {
	s, log := setup()
	var asked []map[string]int
	full := problem.New(problem.TooManyRequests, "Full.")
	var refuse error
	s.Admit = func(bytes map[string]int) error { asked = append(asked, bytes); return refuse }
	const a, b = `{"tenant":"a","name":"a.b","payload":{}}`, `{"tenant":"bb","name":"a.b","payload":{"long":1}}`
	lines := a + "\n  " + b + "\n" + a + "\n"
	call := func() publish.Call {
		return publish.Call{Tenant: "acme", AnyTenant: true, Format: publish.NDJSON, Body: []byte(lines)}
	}
	if _, err := s.Publish(t.Context(), call()); err != nil {
		t.Fatal(err)
	}
	refuse = full
	if _, err := s.Publish(t.Context(), call()); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	own := `{"tenant":"acme","name":"a.b","payload":{}}`
	if _, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Body: []byte(own)}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	each := map[string]int{"a": 2 * len(a), "bb": len(b)}
	if diff := cmp.Diff([]map[string]int{each, each, {"acme": len(own)}}, asked); diff != "" || log.calls != 1 {
		t.Errorf("%d calls reached the log; (-want +got):\n%s", log.calls, diff)
	}
}

// A key is that of its tenant and its body, as it was sent.
func TestAKeyNamesTheTenantAndTheBody(t *testing.T) {
	s, log := setup()
	send := func(format publish.Format, body string) {
		t.Helper()
		ids, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: format, Body: []byte(body), Key: "k"})
		if err != nil || len(ids) != 1 || ids[0] != log.drafts[len(log.drafts)-1].ID || ids[0] == "" {
			t.Fatalf("got %q, %v", ids, err)
		}
	}
	const body = `{"name":"a.b","payload":{ "n":1 }}`
	send(publish.JSON, body)
	send(publish.JSON, body)
	send(publish.NDJSON, body)
	send(publish.JSON, body+" ")
	k := log.keys
	if len(k) != 4 || k[0] != k[1] || k[0] == k[2] || k[0] == k[3] || k[0].Tenant != "acme" || k[0].Name != "k" {
		t.Errorf("the keys are %v", k)
	}
}

func TestMissingIDsAreMadeInOrder(t *testing.T) {
	s, log := setup()
	ids, err := s.Publish(t.Context(), publish.Call{
		Tenant: "acme", Body: []byte(`{"events":[{"name":"a.b","payload":{}},{"id":null,"name":"a.b","payload":{}},{"name":"a.b","payload":{}}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if id != log.drafts[i].ID || len(id) != 36 || id[14] != '7' || i > 0 && ids[i-1] >= id {
			t.Errorf("ids %v", ids)
		}
	}
}

func TestPublishRejects(t *testing.T) {
	event := func(fields string) string { return `{"name":"a.b","payload":{}` + fields + `}` }
	list := func(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }
	deep := strings.Repeat(`{"a":`, 107) + strings.Repeat(`[`, 150) + strings.Repeat(`]`, 150) + strings.Repeat(`}`, 107)
	tests := []struct {
		name    string
		format  publish.Format
		body    string
		code    problem.Code
		message string // substring
	}{
		{"nothing", publish.JSON, " \n", problem.InvalidRequest, "The call is empty"},
		{"no lines", publish.NDJSON, "\n\n", problem.InvalidRequest, "The call has no events; send at least one, each on its own line"},
		{"no events", publish.JSON, list(), problem.InvalidRequest, "The list events has no events; send"},
		{"a list", publish.JSON, "[" + event("") + "]", problem.InvalidRequest, `send {"events":[…]}`},
		{"a string", publish.JSON, `"x"`, problem.InvalidRequest, "The event must be a JSON object"},
		{"not JSON", publish.JSON, `hello`, problem.InvalidJSON, "line 1, column 1"},
		{"events no list", publish.JSON, `{"events":{}}`, problem.InvalidRequest, "events must be a list"},
		{"next to events", publish.JSON, `{"events":[` + event("") + `],"tenant":"x"}`, problem.UnknownField, "tenant is not a known field next to events"},
		{"events late", publish.JSON, `{"name":"a.b","events":[]}`, problem.UnknownField, "events is not a known field"},
		{"two values", publish.JSON, event("") + "\n " + event(""), problem.InvalidJSON, "(line 2, column 2)"},
		{"two on a line", publish.NDJSON, event("") + "\n" + event("") + event(""), problem.InvalidJSON, "(line 2, column 28)"},
		{"garbage after events", publish.JSON, list(event("")) + "]", problem.InvalidJSON, "line 1, column"},
		{"name missing", publish.JSON, `{"payload":{}}`, problem.InvalidRequest, "name is required"},
		{"name missing in a list", publish.JSON, list(event(""), `{"payload":{}}`), problem.InvalidRequest, "events[1].name is required"},
		{"name missing on a line", publish.NDJSON, "\n" + event("") + "\n" + `{"payload":{}}`, problem.InvalidRequest, "line 3: name is required"},
		{"name of one word", publish.JSON, `{"name":"order","payload":{}}`, problem.InvalidRequest, `name "order" is not an event name`},
		{"name in upper case", publish.JSON, `{"name":"Order.x","payload":{}}`, problem.InvalidRequest, `"Order.x"`},
		{"name too long", publish.JSON, `{"name":"a.` + strings.Repeat("b", 127) + `","payload":{}}`, problem.InvalidRequest, "at most 128"},
		{"name no string", publish.JSON, list(`{"name":["a.b"],"payload":{}}`), problem.InvalidRequest, "events[0].name must be a string"},
		{"name null", publish.JSON, `{"name":null,"payload":{}}`, problem.InvalidRequest, "name must be a string"},
		{"payload missing", publish.JSON, list(`{"name":"a.b"}`), problem.InvalidRequest, "events[0].payload is required"},
		{"payload null", publish.JSON, `{"name":"a.b","payload":null}`, problem.InvalidRequest, "payload must be a JSON object"},
		{"payload a list", publish.NDJSON, `{"name":"a.b","payload":[1]}`, problem.InvalidRequest, "line 1: payload must be a JSON object"},
		{"id no UUID", publish.JSON, list(event(`,"id":"7"`)), problem.InvalidRequest, `events[0].id "7" is not a UUID`},
		{"id in braces", publish.JSON, event(`,"id":"{` + uuidA + `}"`), problem.InvalidRequest, "is not a UUID"},
		{"id a number", publish.JSON, event(`,"id":7`), problem.InvalidRequest, "id must be a string"},
		{"id twice", publish.JSON, list(event(`,"id":"`+uuidA+`"`), event(""), event(`,"id":"`+strings.ToUpper(uuidA)+`"`)), problem.InvalidRequest, "events[2].id " + uuidA + " is also the id of events[0]"},
		{"id twice on lines", publish.NDJSON, event(`,"id":"`+uuidA+`"`) + "\n" + event(`,"id":"`+uuidA+`"`), problem.InvalidRequest, "line 2: id " + uuidA + " is also the id of line 1"},
		{"published_at", publish.JSON, list(event(`,"published_at":"2019-01-17T12:00:00.000Z"`)), problem.InvalidRequest, "events[0].published_at is set by the service"},
		{"another tenant", publish.JSON, event(`,"tenant":"globex"`), problem.Forbidden, "tenant is another tenant than that of the access token, which needs the scope tenants:any"},
		{"unknown field", publish.JSON, list(event(`,"nmae":"a.b"`)), problem.UnknownField, "events[0].nmae is not a known field"},
		{"field twice", publish.JSON, list(event(`,"name":"a.b"`)), problem.InvalidJSON, "events[0].name is given twice"},
		{"field twice in a payload", publish.NDJSON, "\n{\"name\":\"a.b\",\"payload\":{\"a\":{\"k\":1,\"k\":2}}}", problem.InvalidJSON, "line 2: payload.a.k is given twice (line 2, column"},
		{"invalid UTF-8", publish.JSON, list("{\"name\":\"a.b\",\"payload\":{\"a\":\"\xff\"}}"), problem.InvalidJSON, "events[0].payload.a is not valid JSON: invalid UTF-8"},
		{"an event over two lines", publish.NDJSON, "{\"name\":\"a.b\",\n\"payload\":{}}", problem.InvalidJSON, "line 1: "},
		{"cut off", publish.JSON, `{"events":[` + event(""), problem.InvalidJSON, "line 1, column 39"},
		{"deep", publish.JSON, `{"events":[{"name":"a.b","payload":` + deep + `}]}`, problem.InvalidJSON, "events[0].payload.a.a."},
		{"very deep", publish.JSON, strings.Repeat("[", 4900), problem.InvalidRequest, "send {"},
		{"too large an event", publish.JSON, list(event(""), event(`,"id":"`+strings.Repeat(" ", 1000)+`"`)), problem.PayloadTooLarge, "events[1] has 1035 bytes; the limit is 1000"},
		{"too large a payload", publish.JSON, list(event(""), `{"name":"a.b","payload":{"x":"`+strings.Repeat("x", 1000)+`"}}`), problem.PayloadTooLarge, "events[1] has 1033 bytes; the limit is 1000"},
		{"too large an event, and cut off", publish.NDJSON, event("") + "\n{" + strings.Repeat(" ", 1000) + "\n" + event(""), problem.InvalidJSON, "it ends too early (line 2, column"},
		{"too large an element", publish.JSON, list("[" + strings.Repeat("1,", 1000) + "1]"), problem.PayloadTooLarge, "events[0] has 2003 bytes; the limit is 1000"},
		{"too large, and no list", publish.JSON, `{"events":{"x":"` + strings.Repeat("x", 1000) + `"}}`, problem.PayloadTooLarge, "The event has 1008 bytes; the limit is 1000"},
		{"too large a call", publish.NDJSON, strings.Repeat(" ", 5001), problem.PayloadTooLarge, "5001 bytes; the limit is 5000"},
		{"too many events", publish.JSON, list(event(""), event(""), event(""), event(""), event(""), event("")), problem.LimitReached, "events[5] exceeds the limit of 5 events per call; send"},
		{"too many lines", publish.NDJSON, strings.Repeat(event("")+"\n", 6), problem.LimitReached, "line 6 exceeds the limit of 5 events per call; send"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, log := setup()
			_, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: tt.format, Body: []byte(tt.body)})
			if got := problem.CodeOf(err); got != tt.code {
				t.Errorf("code %q, want %q", got, tt.code)
			}
			if got := problem.MessageOf(err); !strings.Contains(got, tt.message) {
				t.Errorf("message %q lacks %q", got, tt.message)
			}
			if log.calls != 0 {
				t.Error("something was written")
			}
		})
	}
}

// Every digit in both cases, at every position, and nothing else.
func TestIDsThatAreUUIDs(t *testing.T) {
	const plain = "01234567-89ab-cdef-ABCD-EF0123456789"
	body := func(id string) []byte { return []byte(`{"id":` + strconv.Quote(id) + `,"name":"a.b","payload":{}}`) }
	for _, id := range []string{
		plain, "ffffffff-ffff-ffff-ffff-ffffffffffff", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
		"aaaaaaaa-AAAA-aaaa-AAAA-aaaaaaaaaaaa", "99999999-9999-9999-9999-999999999999", uuidB,
	} {
		s, log := setup()
		ids, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: body(id)})
		if want := strings.ToLower(id); err != nil || len(ids) != 1 || ids[0] != want || log.drafts[0].ID != want {
			t.Errorf("%s: %q, %v", id, ids, err)
		}
	}
	bad := []string{"", plain[:35], plain + "0", plain[1:] + "-", "012345678-9ab-cdef-ABCD-EF0123456789", strings.ReplaceAll(plain, "-", "0"), strings.ReplaceAll(plain, "-", "_")}
	for i := range plain {
		for _, c := range "/:@G`g-ü " {
			if i != 8 && i != 13 && i != 18 && i != 23 || c != '-' {
				bad = append(bad, plain[:i]+string(c)+plain[i+1:])
			}
		}
	}
	for _, id := range bad {
		s, log := setup()
		if _, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: body(id)}); problem.CodeOf(err) != problem.InvalidRequest || log.calls > 0 {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// Messages quote a rejected text up to 100 characters.
func TestRejectedTextsAreTruncated(t *testing.T) {
	for _, c := range []struct{ text, shown string }{
		{strings.Repeat("x", 100), strings.Repeat("x", 100)},
		{strings.Repeat("x", 101), strings.Repeat("x", 100) + "…"},
		{strings.Repeat("x", 99) + "üx", strings.Repeat("x", 99) + "ü…"},
		{strings.Repeat("x", 98) + "üx", strings.Repeat("x", 98) + "üx"},
		{strings.Repeat("\U0001F600", 101), strings.Repeat("\U0001F600", 100) + "…"},
	} {
		s, _ := setup()
		_, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte(`{"name":` + strconv.Quote(c.text) + `,"payload":{}}`)})
		if got := problem.MessageOf(err); !strings.HasPrefix(got, "name "+strconv.Quote(c.shown)+" is not an event name") {
			t.Errorf("of %d bytes: %s", len(c.text), got)
		}
	}
}

func TestWhereAPayloadIsTooDeep(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 107) + strings.Repeat(`[`, 150) + strings.Repeat(`]`, 150) + strings.Repeat(`}`, 107)
	for _, c := range []struct {
		format     publish.Format
		body       string
		begin, end string
	}{
		{publish.JSON, `{"name":"a.b","payload":` + deep + `}`, "payload.a.a.", " is nested deeper than 256 levels (line 1, column 709)."},
		{publish.JSON, `{"events":[{"name":"a.b","payload": ` + deep + `}]}`, "events[0].payload.a.a.", " is nested deeper than 256 levels (line 1, column 721)."},
		{publish.NDJSON, "\n" + `{"name":"a.b","payload":` + deep + `}`, "line 2: payload.a.a.", " is nested deeper than 256 levels (line 2, column 709)."},
	} {
		s, _ := setup()
		_, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: c.format, Body: []byte(c.body)})
		if got := problem.MessageOf(err); !strings.HasPrefix(got, c.begin) || !strings.HasSuffix(got, c.end) {
			t.Errorf("want %s…%s, got %s", c.begin, c.end, got)
		}
	}
}

func TestLimitsAreInclusive(t *testing.T) {
	s, _ := setup()
	one := `{"name":"a.b","payload":{"x":"` + strings.Repeat("x", 1000-33) + `"}}`
	body := strings.Repeat(one, 4)
	body = `{"events":[` + strings.ReplaceAll(body, "}{", "},{") + `,{"name":"a.b","payload":{}}]}`
	body += strings.Repeat(" ", 5000-len(body))
	if len(one) != 1000 {
		t.Fatalf("the event has %d bytes", len(one))
	}
	if _, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte(body)}); err != nil {
		t.Error(err)
	}
}

func TestLogErrorsAreReturned(t *testing.T) {
	s, log := setup()
	log.err = problem.New(problem.Unavailable, "The disk is full.")
	if _, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte(`{"name":"a.b","payload":{}}`)}); !errors.Is(err, log.err) {
		t.Error(err)
	}
}
