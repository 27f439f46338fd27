package aws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestTroubles causes different trouble for each tenant of one deployment.
func TestTroubles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{})
	for name, test := range map[string]func(*testing.T, *world){
		"bucket gone": bucketGone, "foreign records": foreignRecords, "killed while a call is in flight": held,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
	t.Run("key denied", func(t *testing.T) {
		t.Parallel()
		keyDenied(t, newWorld(t, stack.Options{}))
	})
}

// keyDenied revokes the permission to decrypt, in a deployment of its own: tenants share
// data keys. Integrations with secrets wait, and others do not.
func keyDenied(t *testing.T, w *world) {
	r := w.newRound(t)
	keyed, open := r.register("keyed", nil), r.register(withoutSecret, nil)
	r.publish(5, 0)
	w.untilDespite(t, "all arrived", func() bool { return r.lacks(keyed)+r.lacks(open) == 0 })
	allow := w.Front.Inject(front.Fault{Match: front.Operation(front.KMS, "Decrypt"), Kind: front.Denied})
	w.restart() // clear cached secrets and data keys
	before := len(keyed.all())
	r.publish(5, 0)
	w.untilDespite(t, "all arrived where there is no secret", func() bool { return r.lacks(open) == 0 })
	if len(keyed.all()) != before {
		t.Error("the integration with a secret was called without it")
	}
	if !w.injected("kms.Decrypt", front.Denied) {
		t.Error("nobody asked for the data key again")
	}
	r.publish(5, 0)
	w.untilDespite(t, "all arrived where there is no secret", func() bool { return r.lacks(open) == 0 })
	allow()
	w.sweptUntil(t, "all arrived", func() bool { return r.lacks(keyed) == 0 })
}

// restart restarts the deployment, but not during a neighbour's sweep, which it
// would kill.
func (w *world) restart() {
	w.restarts.Lock()
	defer w.restarts.Unlock()
	w.Restart()
}

// sweptUntil is heal for a condition instead of whole rounds.
func (w *world) sweptUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !eventually(2*w.quietAfter+time.Second, ok) {
		t.Log("left for the sweep")
	}
	w.sweep(t)
	if !eventually(afterSweep, ok) {
		t.Errorf("one sweep was not enough for: %s", what)
	}
}

// sweep sweeps while nobody restarts the deployment.
func (w *world) sweep(t *testing.T) {
	t.Helper()
	w.restarts.RLock()
	defer w.restarts.RUnlock()
	if err := w.Sweep(t.Context()); err != nil {
		t.Errorf("the sweep failed: %v", err)
	}
}

// untilDespite is until beside neighbours that kill processes. One may die that has
// committed for this tenant and not started the execution, which is left for the sweep; so
// it sweeps whenever ok takes as long as that.
func (w *world) untilDespite(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !eventually(2*w.quietAfter+time.Second, ok); w.sweep(t) {
		if time.Since(began) > waitTimeout {
			fatal(t, "timed out after %v waiting until %s", time.Since(began), what)
		}
	}
}

// bucketGone removes the bucket of large segments. The tenant that has some waits,
// and others do not.
func bucketGone(t *testing.T, w *world) {
	large := w.newRound(t)
	small := w.newRoundInOtherLane(t, large)
	live, behind, other := large.register("live", nil), large.register("behind", nil), small.register("other", nil)
	behind.answers(func(int, call) int { return 503 })
	large.publish(2, 150<<10)
	w.untilDespite(t, "it is in the log", func() bool { return large.lacks(live) == 0 && len(behind.all()) > 2 })
	create := w.Front.Inject(front.Fault{Kind: front.Gone, Match: func(service, _ string, path []byte) bool {
		return service == front.S3 && bytes.Contains(path, []byte(large.name))
	}})
	behind.answers(nil)
	w.restart() // clear cached segments
	large.publish(2, 150<<10)
	small.publish(5, 0)
	w.untilDespite(t, "small segments are delivered", func() bool { return small.lacks(other) == 0 })
	sleep(t.Context(), time.Second)
	if n := large.lacks(live); n != 2 {
		t.Errorf("%d events wait for the bucket, want 2", n)
	}
	create()
	w.sweptUntil(t, "all arrived", func() bool { return large.lacks(live)+large.lacks(behind) == 0 })
}

// newRoundInOtherLane returns a round whose events never share a batch with those
// of the other round.
func (w *world) newRoundInOtherLane(t *testing.T, other *round) *round {
	for {
		if r := w.newRound(t); lane(r.name) != lane(other.name) {
			return r
		}
	}
}

// lane returns the poller's lane for a tenant's records.
func lane(tenant string) uint32 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte("0#" + tenant)) // it cannot fail
	return hash.Sum32() % 10
}

// foreignRecords puts records on the stream that Sluice did not write, among its
// own.
func foreignRecords(t *testing.T, w *world) {
	r := w.newRound(t)
	to := r.register("one", nil)
	foreign := map[string]string{} // partition key by data
	for i, key := range []string{"0#" + r.name, "0#" + r.name, "nonsense", "#", "99#" + r.name} {
		data := fmt.Sprintf("\x01 this is no record %d", i)
		foreign[data] = key
		if _, err := w.Kinesis.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: &w.Stream, PartitionKey: aws.String(key), Data: []byte(data),
		}); err != nil {
			t.Fatal(err)
		}
		r.publish(3, 0)
	}
	w.untilDespite(t, "all arrived", func() bool { return r.lacks(to) == 0 })
	if !eventually(waitTimeout, func() bool { return len(w.quarantined(t)) >= len(foreign) }) {
		t.Errorf("%d records are quarantined, want %d", len(w.quarantined(t)), len(foreign))
	}
	for _, text := range w.quarantined(t) {
		var p struct {
			Reason       string `json:"reason"`
			PartitionKey string `json:"partition_key"`
			Data         []byte `json:"data"`
		}
		if err := json.Unmarshal([]byte(text), &p); err != nil || p.Reason == "" {
			t.Errorf("a quarantined object has %s", text)
		}
		if foreign[string(p.Data)] != p.PartitionKey {
			t.Errorf("quarantined is %q under %q", p.Data, p.PartitionKey)
		}
		delete(foreign, string(p.Data))
	}
	if len(foreign) > 0 {
		t.Errorf("not quarantined: %q", foreign)
	}
}

// quarantined returns the objects under malformed/.
func (w *world) quarantined(t *testing.T) []string {
	t.Helper()
	list, err := w.S3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &w.Bucket, Prefix: aws.String("malformed/")})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, o := range list.Contents {
		object, err := w.S3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &w.Bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		_, err = io.Copy(&text, object.Body)
		_ = object.Body.Close()
		if err != nil || !strings.HasSuffix(*o.Key, ".json") {
			t.Errorf("%s: %v", *o.Key, err)
		}
		texts = append(texts, text.String())
	}
	return texts
}
