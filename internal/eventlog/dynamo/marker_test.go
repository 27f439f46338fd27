package dynamo

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// fill appends to many partitions, and returns how many shards of the index their markers are in.
func (r *rig) fill(partitions int) (shards int) {
	r.t.Helper()
	l, seen := r.process(), map[string]bool{}
	for i := range partitions {
		p := event.Partition{Tenant: fmt.Sprint("tenant-", i)}
		if _, err := l.Append(r.t.Context(), p, "", eventlog.Unnamed(eventAt(i, 1, base))); err != nil {
			r.t.Fatal(err)
		}
		seen[markerShardOf(p)] = true
	}
	return len(seen)
}

// raise raises what is due after ten days.
func (r *rig) raise(ctx context.Context) int {
	r.t.Helper()
	n, err := r.process().RaiseMarkers(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// Markers are in all shards of the index, and in one sweep all of them are raised.
func TestMarkersOfAllShardsAreRaised(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if n := r.fill(150); n != markerShards {
		t.Errorf("150 partitions are in %d shards, want %d", n, markerShards)
	}
	r.set(base.Add(11 * 24 * time.Hour))
	if n := r.raise(t.Context()); n != 150 {
		t.Errorf("raised %d, want 150", n)
	}
	if n := r.raise(t.Context()); n != 0 {
		t.Errorf("raised %d again", n)
	}
}

// A shard with more markers than a page has them raised in one call.
func TestAFullShardIsRaisedPageByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const many = 2*markerPage + 3
	r.fill(many)
	r.moveMarkers(many, func(event.Partition) string { return markerShard(3) })
	r.set(base.Add(11 * 24 * time.Hour))
	if n := r.raise(t.Context()); n != many {
		t.Errorf("raised %d, want %d", n, many)
	}
}

// An earlier release has put all markers under one key. They are found there, and moved as they
// are raised.
func TestMarkersOfAnEarlierReleaseAreRaised(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill(20)
	r.moveMarkers(20, func(event.Partition) string { return "heads" })
	r.set(base.Add(11 * 24 * time.Hour))
	if n := r.raise(t.Context()); n != 20 {
		t.Errorf("raised %d, want 20", n)
	}
	for i := range 20 {
		p := event.Partition{Tenant: fmt.Sprint("tenant-", i)}
		var m marker
		if _, err := r.process().get(t.Context(), r.options.Table, newKey(p, skMarker), &m); err != nil || m.DueShard != markerShardOf(p) || m.Number != 1 {
			t.Errorf("%+v, %v; want it in %s", m, err, markerShardOf(p))
		}
	}
}

// moveMarkers puts the markers of fill under other keys of the index.
func (r *rig) moveMarkers(partitions int, to func(event.Partition) string) {
	r.t.Helper()
	for i := range partitions {
		p := event.Partition{Tenant: fmt.Sprint("tenant-", i)}
		_, err := r.options.DynamoDB.UpdateItem(r.t.Context(), &dynamodb.UpdateItemInput{
			TableName: &r.options.Table, Key: newKey(p, skMarker).Attributes(),
			UpdateExpression: new("SET #s = :s"), ExpressionAttributeNames: map[string]string{"#s": dynamotable.DueShard},
			ExpressionAttributeValues: map[string]types.AttributeValue{":s": &types.AttributeValueMemberS{Value: to(p)}},
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// When its time is used up, a sweep ends with what it has raised, which is no failure, and the
// next one does the rest.
func TestRaisingEndsWithItsTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill(60)
	r.set(base.Add(11 * 24 * time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	puts := 0
	r.dynamo.fail(func(operation string, done bool) int {
		r.mu.Lock()
		defer r.mu.Unlock()
		if operation == "PutItem" && done {
			if puts++; puts == 20 {
				cancel()
			}
		}
		return 0
	})
	n := r.raise(ctx)
	if n == 0 || n >= 60 {
		t.Errorf("raised %d of 60 before the end of its time", n)
	}
	r.dynamo.fail(nil)
	// Some puts were made whose responses came too late.
	if rest := r.raise(t.Context()); rest < 60-20-markerShards || r.raise(t.Context()) != 0 {
		t.Errorf("raised %d, and %d with the next sweep, of 60", n, rest)
	}
}

// One marker that cannot be raised blocks none of those after it, in its shard or another.
func TestAMarkerThatCannotBeRaisedBlocksNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill(40)
	r.moveMarkers(40, func(event.Partition) string { return markerShard(3) })
	r.set(base.Add(11 * 24 * time.Hour))
	broken := segmentKey(event.Partition{Tenant: "tenant-7"}, 1)
	_, err := r.options.DynamoDB.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &r.options.Segments, Key: broken.Attributes(),
		UpdateExpression: new("SET #l = :l"), ExpressionAttributeNames: map[string]string{"#l": attrLast},
		ExpressionAttributeValues: map[string]types.AttributeValue{":l": &types.AttributeValueMemberS{Value: "never"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.process().RaiseMarkers(t.Context()); n != 39 || err == nil {
		t.Errorf("raised %d, %v; want 39 and an error", n, err)
	}
}
