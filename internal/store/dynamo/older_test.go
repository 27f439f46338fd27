package dynamo_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/dynamo"
)

func aRejected(i int) *integration.Rejected {
	d := event.Draft{ID: fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i), Name: "a.b", Payload: []byte("{}")}
	return &integration.Rejected{Event: d.Stamp(life.Tenant, base), CreatedAt: base.Add(time.Duration(i) * time.Second)}
}

// indexOf writes the list of rejected events as an earlier release does.
func (tb table) indexOf(t *testing.T, refs ...integration.RejectedRef) {
	t.Helper()
	doc, err := json.Marshal(refs)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tb.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &tb.name, Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "H#5#hook#a"}, "sk": &types.AttributeValueMemberS{Value: "INDEX"},
		"doc": &types.AttributeValueMemberS{Value: string(doc)}, "version": &types.AttributeValueMemberN{Value: "7"},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// wantList checks both directions of the list, and its count.
func wantList(t *testing.T, s *dynamo.Store, want ...int) *integration.RejectedCount {
	t.Helper()
	refs, err := s.OldestRejected(t.Context(), life, 100)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, i := range want {
		ids = append(ids, aRejected(i).Event.ID)
	}
	idOf := func(ref integration.RejectedRef) string { return ref.EventID }
	if got := mapped(refs, idOf); !slices.Equal(got, ids) {
		t.Errorf("the list is %v, want %v", got, ids)
	}
	var newest []string
	for after := (integration.RejectedRef{}); ; {
		page, err := s.NewestRejected(t.Context(), life, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if newest = append(newest, mapped(page, idOf)...); len(page) < 2 {
			break
		}
		after = page[1]
	}
	if slices.Reverse(newest); !slices.Equal(newest, ids) {
		t.Errorf("in pages, newest first, the list is %v, want %v", newest, ids)
	}
	count, err := s.RejectedCount(t.Context(), life)
	if err != nil || count.Kept != len(want) {
		t.Errorf("counted are %+v, %v, want %d", count, err, len(want))
	}
	return count
}

func mapped[A, B any](all []A, of func(A) B) (out []B) {
	for _, a := range all {
		out = append(out, of(a))
	}
	return out
}

// What an earlier release listed in one item is read until it has left the list, and a
// release before may go on with that item: what it writes is counted again.
func TestTheListOfAnEarlierRelease(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := tb.store()
	tb.indexOf(t, aRejected(1).Ref(), aRejected(2).Ref(), aRejected(3).Ref())
	count := wantList(t, s, 1, 2, 3)
	if !count.Newest.Equal(aRejected(3).CreatedAt) {
		t.Errorf("the newest is of %v", count.Newest)
	}
	add := func(i int) {
		count.Add(aRejected(i).CreatedAt)
		commit(t, s, store.PutRejectedCount{History: life, Count: count}, store.PutRejected{History: life, Rejected: aRejected(i)})
	}
	remove := func(i int) {
		count.Remove(aRejected(i).Event.ID)
		commit(t, s, store.PutRejectedCount{History: life, Count: count}, store.DeleteRejected{History: life, Ref: aRejected(i).Ref()})
	}
	add(4)
	add(5)
	wantList(t, s, 1, 2, 3, 4, 5)
	remove(1)
	remove(4)
	wantList(t, s, 2, 3, 5)
	tb.indexOf(t, aRejected(2).Ref(), aRejected(6).Ref()) // by a release before
	count = wantList(t, s, 2, 5, 6)
	if !count.Newest.Equal(aRejected(6).CreatedAt) {
		t.Errorf("then the newest is of %v", count.Newest)
	}
	remove(2)
	remove(6)
	count = wantList(t, s, 5)
	if len(count.Older) > 0 {
		t.Errorf("left of the earlier release is %v", count.Older)
	}
	commit(t, s, store.DeleteHistory{History: life})
	wantList(t, s)
}

// The list of an earlier release is hidden with its history, and freed with it.
func TestTheListOfAnEarlierReleaseIsFreed(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := tb.store()
	tb.indexOf(t, aRejected(1).Ref(), aRejected(2).Ref())
	wantList(t, s, 1, 2)
	commit(t, s, store.DeleteHistory{History: life})
	tb.indexOf(t, aRejected(1).Ref()) // by a late writer
	hidden(t, s, life)
	free(t, tb.at(2*time.Hour), 10, 1)
	if n, _ := tb.items(t, life); n != 0 {
		t.Errorf("%d items are left", n)
	}
}
