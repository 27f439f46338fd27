package aws

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// round is the story of one tenant: integrations of every kind, one that is stopped
// and started, one registered later, and a replay, while events flow. It records
// what must arrive where.
type round struct {
	*tenant
	receivers map[string]*receiver
	bucket    string

	mu       sync.Mutex
	orders   []string // acknowledged
	returns  []string
	late     []string // those of both published after "late" was registered
	replayed []string
	began    time.Time
	gaps     [][2]time.Time // while "paused" was stopped
	played   bool           // to its end
	whole    bool           // nothing is missing
}

func (w *world) newRound(t *testing.T) *round {
	r := &round{tenant: w.newTenant(t), receivers: map[string]*receiver{}}
	r.bucket = "b-" + r.name
	return r
}

// withoutSecret is the one integration that has no secret.
const withoutSecret = "open"

// register registers an integration, with a receiver unless it has a bucket.
func (r *round) register(id string, fields object) *receiver {
	r.t.Helper()
	body := object{"id": id, "integration_type": "permanent"}
	for k, v := range fields {
		body[k] = v
	}
	var to *receiver
	if body["s3_parameters"] == nil {
		var url string
		to, url = r.newReceiver(r.name, id)
		callback := object{"callback_url": url}
		if id != withoutSecret {
			callback["api_key"] = "key-" + rand.Text()
		}
		body["callback_parameters"] = callback
		r.mu.Lock()
		r.receivers[id] = to
		r.mu.Unlock()
	}
	status := r.call(http.MethodPost, integrationsPath, body, nil)
	if status != http.StatusOK && status != http.StatusConflict { // of a call whose response was lost
		fatal(r.t, "register %s: %d", id, status)
	}
	return to
}

// publish publishes n orders, a tenth of them returns, and records those that the
// API accepts. It publishes the others again, as clients do.
func (r *round) publish(n, bytes int) {
	r.t.Helper()
	events := make([]object, n)
	for i := range events {
		events[i] = object{"name": "order.created", "payload": object{"n": i}}
		if i%10 == 9 {
			events[i]["name"] = "return.created"
		}
	}
	if bytes > 0 { // incompressible
		noise := make([]byte, bytes)
		_, _ = rand.Read(noise)
		events[0]["payload"] = object{"noise": base64.StdEncoding.EncodeToString(noise)}
	}
	var answer struct{ Events []struct{ ID string } }
	if status := r.call(http.MethodPost, publishPath, object{"events": events}, &answer); status != http.StatusAccepted || len(answer.Events) != n {
		fatal(r.t, "published %d events: %d, %d events", n, status, len(answer.Events))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range answer.Events {
		if i%10 == 9 {
			r.returns = append(r.returns, e.ID)
		} else {
			r.orders = append(r.orders, e.ID)
		}
		if r.receivers["late"] != nil {
			r.late = append(r.late, e.ID)
		}
	}
}

// noise is the size of an event whose segment is too large for an item.
const noise = 40 << 10

// play runs the round. bursts is how often it publishes before and after the stop;
// it waits after each burst.
func (r *round) play(bursts int, between time.Duration) {
	r.t.Helper()
	r.began = time.Now()
	if err := r.buckets.CreateBucket(r.bucket); err != nil {
		fatal(r.t, "%v", err)
	}
	r.register("fast", object{"filter_conditions": object{"entity_filter": []string{"order"}}})
	r.register("slow", nil).delay = 5 * time.Millisecond
	r.register("failing", nil).answers(func(n int, _ call) int {
		if n < 12 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	r.register("picky", nil).answers(func(_ int, c call) int {
		if c.name == "return.created" {
			return http.StatusBadRequest
		}
		return http.StatusOK
	})
	r.register("paused", nil)
	r.register("files", object{"s3_parameters": object{
		"aws_access_key_id": r.s3.AccessKeyID, "aws_secret_access_key": r.s3.SecretAccessKey,
		"aws_region": r.s3.Region, "bucket": r.bucket, "endpoint": r.s3.Endpoint,
	}})
	for range bursts {
		r.publish(10, 0)
		sleep(r.t.Context(), between)
	}
	r.stop("paused")
	stopped := time.Now()
	r.register("late", nil)
	for range bursts {
		r.publish(10, noise)
		sleep(r.t.Context(), between)
	}
	r.mu.Lock()
	r.gaps = append(r.gaps, [2]time.Time{stopped, time.Now()})
	r.replayed = slices.Concat(r.orders, r.returns)
	r.mu.Unlock()
	r.call(http.MethodPost, integrationsPath+"/paused/_start", nil, nil)
	r.register("replay", object{
		"integration_type": "temporary", "starts_at": stamp(r.began.Add(-time.Second)), "ends_at": stamp(time.Now()),
	})
	r.played = true
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// stop stops an integration and returns once the API reports it as stopped.
func (r *round) stop(id string) {
	r.t.Helper()
	r.call(http.MethodPost, integrationsPath+"/"+id+"/_stop", nil, nil)
	r.until(r.t, id+" is stopped", func() bool { return r.status(id) == "stopped" })
}

func (r *round) status(id string) string {
	var d struct{ Status string }
	r.try(http.MethodGet, integrationsPath+"/"+id, nil, &d)
	return d.Status
}

// missing says which events have not arrived yet, or "" if none are missing.
func (r *round) missing() string {
	r.mu.Lock()
	if r.whole {
		r.mu.Unlock()
		return ""
	}
	if !r.played {
		r.mu.Unlock()
		return "the round did not finish"
	}
	all := slices.Concat(r.orders, r.returns)
	want := map[string][]string{
		"fast": r.orders, "slow": all, "failing": all, "picky": r.orders, "paused": all,
		"late": r.late, "replay": r.replayed, "files": all,
	}
	r.mu.Unlock()
	var lines []string
	for id, ids := range want {
		var there map[string]int
		switch to := r.receivers[id]; {
		case id == "files":
			there = r.files()
		case to == nil:
			lines = append(lines, id+" was not registered")
			continue
		default:
			there = to.taken()
		}
		n := 0
		for _, id := range ids {
			if there[id] == 0 {
				n++
			}
		}
		if n > 0 {
			lines = append(lines, fmt.Sprintf("%s misses %d of %d events", id, n, len(ids)))
		}
	}
	if len(lines) == 0 && r.status("replay") != "stopped" {
		lines = append(lines, "the replay is "+r.status("replay"))
	}
	r.whole = len(lines) == 0
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

var idIn = regexp.MustCompile(`"id":"([0-9a-f-]{36})"`)

// files counts the events in the bucket.
func (r *round) files() map[string]int {
	there := map[string]int{}
	for _, text := range r.objects(r.bucket) {
		for _, id := range idIn.FindAllStringSubmatch(text, -1) {
			there[id[1]]++
		}
	}
	return there
}

// check checks what must hold for a round once nothing is missing.
func (r *round) check(t *testing.T) {
	t.Helper()
	for _, gap := range r.gaps {
		if n := r.receivers["paused"].between(gap[0], gap[1]); n > 0 {
			t.Errorf("%s: %d calls after it was reported as stopped", r.name, n)
		}
	}
	acknowledged := map[string]bool{}
	for _, id := range r.orders {
		acknowledged[id] = true
	}
	for _, c := range r.receivers["fast"].all() {
		if c.name != "order.created" {
			t.Errorf("%s: %s passed the filter of fast", r.name, c.name)
		}
	}
	var list struct {
		Rejected []struct{ ID string } `json:"rejected_events"`
	}
	r.call(http.MethodGet, integrationsPath+"/picky/rejected_events", nil, &list)
	rejected := map[string]bool{}
	for _, e := range list.Rejected {
		rejected[e.ID] = true
		if acknowledged[e.ID] {
			t.Errorf("%s: the list of rejected events has %s, which was accepted", r.name, e.ID)
		}
	}
	for _, id := range r.returns {
		if !rejected[id] && len(list.Rejected) < 30 {
			t.Errorf("%s: the list of rejected events does not have %s", r.name, id)
		}
	}
	if diff := cmp.Diff([]string{"integration_created", "integration_started", "integration_stopped", "integration_started"}, r.life("paused")); diff != "" {
		t.Errorf("%s: the log of paused (-want +got):\n%s", r.name, diff)
	}
	if diff := cmp.Diff([]string{"integration_created", "integration_started", "integration_stopped"}, r.life("replay")); diff != "" {
		t.Errorf("%s: the log of the replay (-want +got):\n%s", r.name, diff)
	}
}

// life returns the actions in an integration's log that are not about deliveries,
// oldest first.
func (r *round) life(id string) []string {
	var list struct{ Entries []struct{ Action string } }
	r.call(http.MethodGet, integrationsPath+"/"+id+"/logs", nil, &list)
	var actions []string
	for _, e := range slices.Backward(list.Entries) {
		if strings.HasPrefix(e.Action, "integration_") {
			actions = append(actions, e.Action)
		}
	}
	return actions
}
