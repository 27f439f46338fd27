package scenario

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	base       = "/api/v1/org/integrations/eventstream"
	eventsPath = "/api/v1/org/events"

	scopeRead    = "integrations:read"
	scopeWrite   = "integrations:write"
	scopePublish = "events:publish"
)

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

// tenant is a tenant and its client.
type tenant struct {
	t     *testing.T
	env   *Env
	ctx   context.Context // of its calls
	name  string
	token string

	receivers *[]*receiver
}

func newTenant(t *testing.T, env *Env) *tenant {
	t.Helper()
	name := "t-" + strings.ToLower(rand.Text()[:12])
	c := &tenant{t: t, env: env, ctx: t.Context(), name: name, receivers: new([]*receiver)}
	c.token = env.Token(name, scopeWrite, scopePublish)
	t.Cleanup(c.leave)
	return c
}

// leave deletes what the tenant has, and only then closes its receivers, whose
// ports others may get.
func (c *tenant) leave() {
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var list struct{ Integrations []document }
	c.call("GET", base, nil).ok(200, &list)
	for _, d := range list.Integrations {
		c.call("DELETE", path(d.ID), nil).empty()
	}
	for _, r := range *c.receivers {
		r.close()
	}
}

// with is the same tenant with another token.
func (c *tenant) with(token string) *tenant {
	other := *c
	other.token = token
	return &other
}

// object is a JSON object to send.
type object = map[string]any

var httpClient = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
}

// answer is the response to a call.
type answer struct {
	t      *testing.T
	call   string
	status int
	header http.Header
	body   []byte
}

// call makes a call. A body is an object to encode, or text to send unchanged.
// Options are headers, by name and value.
func (c *tenant) call(method, path string, body any, headers ...string) *answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// try is call for where no response may come.
func (c *tenant) try(method, path string, body any, headers ...string) (*answer, error) {
	c.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.ctx, method, c.env.URL+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &answer{t: c.t, call: method + " " + path, status: res.StatusCode, header: res.Header, body: text}, nil
}

// ok fails the test unless the status is as expected, and decodes into the
// pointers that are given.
func (a *answer) ok(status int, into ...any) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: got %d, want %d: %s", a.call, a.status, status, a.body)
	}
	for _, v := range into {
		if err := json.Unmarshal(a.body, v); err != nil {
			a.t.Fatalf("%s: %v: %s", a.call, err, a.body)
		}
	}
	return a
}

// empty fails the test unless the response is a 200 without anything in it.
func (a *answer) empty() {
	a.t.Helper()
	if a.ok(http.StatusOK); string(bytes.TrimSpace(a.body)) != "{}" {
		a.t.Errorf("%s: got %s, want {}", a.call, a.body)
	}
}

// fails fails the test unless the response is an error in the one shape, with
// this status and code, whose message has the words.
func (a *answer) fails(status int, code string, words ...string) {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s: got %d, want %d: %.300s", a.call, a.status, status, a.body)
		return
	}
	var e map[string]string
	if err := json.Unmarshal(a.body, &e); err != nil {
		a.t.Errorf("%s: the error has not the shape of one: %v: %.300s", a.call, err, a.body)
		return
	}
	if len(e) != 3 || e["error_code"] != code || e["message"] == "" || e["request_id"] == "" {
		a.t.Errorf("%s: got %s, want error_code %s, message and request_id", a.call, a.body, code)
	}
	if media := a.header.Get("Content-Type"); !strings.HasPrefix(media, "application/json") {
		a.t.Errorf("%s: an error of type %q", a.call, media)
	}
	for _, word := range words {
		if !strings.Contains(e["message"], word) {
			a.t.Errorf("%s: the message %q does not say %q", a.call, e["message"], word)
		}
	}
}

// unauthorized fails the test unless the call was refused for its token.
func (a *answer) unauthorized(env *Env) {
	a.t.Helper()
	if !env.Gateway {
		a.fails(http.StatusUnauthorized, "unauthorized")
		return
	}
	var body struct{ Message string } // its spaces are not part of the format
	if err := json.Unmarshal(a.body, &body); err != nil || a.status != http.StatusUnauthorized || body.Message != "Unauthorized" {
		a.t.Errorf("%s: got %d %.300s, want the gateway's 401", a.call, a.status, a.body)
	}
}

// document is an integration as returned by the API.
type document struct {
	ID       string            `json:"id"`
	Status   string            `json:"status"`
	Callback map[string]string `json:"callback_parameters"`
	S3       map[string]string `json:"s3_parameters"`
}

// path is that of an integration.
func path(id string, rest ...string) string { return base + "/" + id + strings.Join(rest, "") }

// register registers a permanent integration with these fields.
func (c *tenant) register(id string, fields object) document {
	c.t.Helper()
	var d document
	c.call("POST", base, merged(object{"id": id, "integration_type": "permanent"}, fields)).ok(200, &d)
	if d.ID != id || d.Status != "running" {
		c.t.Errorf("registered %s, got %s that is %s", id, d.ID, d.Status)
	}
	return d
}

func merged(all ...object) object {
	sum := object{}
	for _, o := range all {
		for k, v := range o {
			sum[k] = v
		}
	}
	return sum
}

// callback are the fields of a webhook integration.
func callback(url string) object {
	return object{"callback_parameters": object{"callback_url": url}}
}

func (c *tenant) start(id string) {
	c.t.Helper()
	var d document
	if c.call("POST", path(id, "/_start"), nil).ok(200, &d); d.Status != "running" {
		c.t.Errorf("started %s, and it is %s", id, d.Status)
	}
}

// stop stops an integration and returns when its status is stopped.
func (c *tenant) stop(id string) {
	c.t.Helper()
	var d document
	if c.call("POST", path(id, "/_stop"), nil).ok(200, &d); d.Status == "stopped" {
		return
	}
	if d.Status != "stopping" {
		c.t.Fatalf("stopped %s, and it is %s", id, d.Status)
	}
	c.untilStopped(id)
}

func (c *tenant) untilStopped(id string) {
	c.t.Helper()
	c.env.eventually(c.t, label(id+" is stopped"), func() bool { return c.status(id) == "stopped" })
}

func (c *tenant) status(id string) string {
	c.t.Helper()
	var d document
	c.call("GET", path(id), nil).ok(200, &d)
	return d.Status
}

type entry struct {
	Action, Reason, CreatedAt string
}

// logs are the log entries of an integration, newest first.
func (c *tenant) logs(id string) []entry {
	c.t.Helper()
	var list struct{ Entries []map[string]string }
	c.call("GET", path(id, "/logs"), nil).ok(200, &list)
	entries := make([]entry, len(list.Entries))
	for i, e := range list.Entries {
		entries[i] = entry{e["action"], e["reason"], e["created_at"]}
		if len(e) != 3 || entries[i].Action == "" || entries[i].Reason == "" || !timestamp.MatchString(entries[i].CreatedAt) {
			c.t.Errorf("an entry of the log of %s is %v", id, e)
		}
		if i > 0 && entries[i].CreatedAt > entries[i-1].CreatedAt {
			c.t.Errorf("the log of %s is not newest first: %s is below %s", id, entries[i].CreatedAt, entries[i-1].CreatedAt)
		}
	}
	return entries
}

// reasons are those of the entries with an action, newest first.
func (c *tenant) reasons(id, action string) []string {
	c.t.Helper()
	var reasons []string
	for _, e := range c.logs(id) {
		if e.Action == action {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// wantActions compares the actions of the log, oldest first.
func (c *tenant) wantActions(id string, want ...string) {
	c.t.Helper()
	var got []string
	for _, e := range slices.Backward(c.logs(id)) {
		got = append(got, e.Action)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("the log of %s (-want +got):\n%s", id, diff)
	}
}

// rejectedEvent is an entry of the list of rejected events.
type rejectedEvent struct {
	ID        string `json:"id"`
	CreatedAt string `json:"created_at"`
	Name      string `json:"event_name"`
	Reason    string `json:"reason"`
	Status    int    `json:"status_code"`
}

// rejected are the ids in the list of rejected events, newest first.
func (c *tenant) rejected(id string) []string {
	c.t.Helper()
	var list struct {
		Rejected []rejectedEvent `json:"rejected_events"`
	}
	c.call("GET", path(id, "/rejected_events"), nil).ok(200, &list)
	ids, last := []string{}, "9"
	for _, e := range list.Rejected {
		whole := e.Name != "" && (e.Reason == "skipped" || e.Reason == "rejected" && e.Status == http.StatusBadRequest)
		if !whole || !timestamp.MatchString(e.CreatedAt) || e.CreatedAt > last {
			c.t.Errorf("a rejected event of %s is %v, after one of %s", id, e, last)
		}
		ids, last = append(ids, e.ID), e.CreatedAt
	}
	return ids
}

// publish publishes n events of a name and returns their ids.
func (c *tenant) publish(name string, n int) []string {
	c.t.Helper()
	var ids []string
	for n > 0 {
		batch := min(n, 500)
		events := make([]object, batch)
		for i := range events {
			events[i] = object{"name": name, "payload": object{"n": n - i}}
		}
		ids = append(ids, c.send(object{"events": events})...)
		n -= batch
	}
	return ids
}

// send publishes a body and returns the ids of its events.
func (c *tenant) send(body any, headers ...string) []string {
	c.t.Helper()
	return c.call("POST", eventsPath, body, headers...).ids()
}

// ids are those in the response to a publish call.
func (a *answer) ids() []string {
	a.t.Helper()
	var list struct{ Events []map[string]string }
	a.ok(http.StatusAccepted, &list)
	ids := make([]string, len(list.Events))
	for i, e := range list.Events {
		if ids[i] = e["id"]; len(e) != 1 || len(ids[i]) != 36 {
			a.t.Errorf("published, and got %s", a.body)
		}
	}
	return ids
}

// secret is a secret of n letters that occurs nowhere else.
func (e *Env) secret(prefix string, n int) string {
	clear := prefix
	for len(clear) < n {
		clear += rand.Text()
	}
	return e.tell(clear[:n])
}

// signingSecret returns a new signing secret and its key.
func (e *Env) signingSecret() (clear string, key []byte) {
	key = make([]byte, 32)
	_, _ = rand.Read(key)
	return e.tell("whsec_" + base64.StdEncoding.EncodeToString(key)), key
}

func (e *Env) tell(clear string) string {
	if e.Secret != nil {
		e.Secret(clear)
	}
	return clear
}

// masked is how a secret comes back. One of less than 12 characters shows none of them.
func masked(clear string) string {
	if len(clear) < 12 {
		return "********"
	}
	return "********" + clear[len(clear)-4:]
}
