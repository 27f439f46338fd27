package aws

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestFromOneTableToTwo upgrades a deployment whose log is in the main table, as
// docs/operations.md says: nothing is appended meanwhile, and what is published then waits in the
// stream. An integration that is live, one that is stopped over the upgrade and a replay of
// before it get every event, and the log goes on in the new table with the numbers of the old.
func TestFromOneTableToTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{Settings: unhurried})
	w.replaceFunctions(w.Table)
	began := time.Now()
	r := w.newRound(t)
	live, stopped := r.register("live", nil), r.register("stopped", nil)
	for range 3 {
		r.publish(5, 0)
		w.until(t, "the events before the upgrade arrive", func() bool { return r.lacks(live) == 0 })
	}
	w.until(t, "they arrive everywhere", func() bool { return r.lacks(stopped) == 0 && w.Poller.Idle() })
	r.stop("stopped")
	r.publish(5, 0)
	w.until(t, "the last events before the upgrade arrive", func() bool { return r.lacks(live) == 0 && w.Poller.Idle() })
	before := w.segments(t, w.Table, r.name)
	if len(before) == 0 || len(w.segments(t, w.Segments, r.name)) > 0 {
		t.Fatal("the log before the upgrade is not in the main table; this proves nothing")
	}

	w.replaceFunctions(w.Segments)
	r.publish(5, 0)
	r.publish(1, noise)
	w.until(t, "live delivery goes on", func() bool { return r.lacks(live) == 0 })
	if status := r.call(http.MethodPost, integrationsPath+"/stopped/_start", nil, nil); status != http.StatusOK {
		t.Fatalf("start: %d", status)
	}
	w.until(t, "catch-up crosses the border", func() bool { return r.lacks(stopped) == 0 })
	replay := r.register("replay", object{
		"integration_type": "temporary", "starts_at": stamp(began.Add(-time.Second)), "ends_at": stamp(time.Now().Add(time.Second)),
	})
	w.until(t, "a replay has what is in both tables", func() bool { return r.lacks(replay) == 0 && r.status("replay") == "stopped" })
	if after := w.segments(t, w.Table, r.name); len(after) != len(before) {
		t.Errorf("%d segments in the main table, and %d before the upgrade", len(after), len(before))
	}
	if first := w.segments(t, w.Segments, r.name); len(first) == 0 || first[0] <= before[len(before)-1] {
		t.Errorf("the segments in their own table are %v, after %v in the main one", first, before)
	}
}

// replaceFunctions deploys the functions with another table of segments, while nothing runs:
// with the main one they are those of before.
func (w *world) replaceFunctions(segments string) {
	w.Env["SLUICE_SEGMENTS_TABLE"] = segments
	for _, name := range []string{"api", "fanout", "advance", "sweep"} {
		w.Host.Recycle(name)
	}
}

// segments returns the sort keys of the segments of a tenant's first lane in a table.
func (w *world) segments(t *testing.T, table, tenant string) []string {
	t.Helper()
	condition := "pk = :pk AND sk < :a"
	out, err := w.DynamoDB.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: &condition, ExpressionAttributeValues: map[string]types.AttributeValue{
			":pk": &types.AttributeValueMemberS{Value: "S#0#" + tenant}, ":a": &types.AttributeValueMemberS{Value: "A"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, item := range out.Items {
		keys = append(keys, item["sk"].(*types.AttributeValueMemberS).Value)
	}
	return keys
}
