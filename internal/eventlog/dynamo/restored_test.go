package dynamo

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/test/aws/emulators"
)

// restored is a log of five segments whose main table was restored to a time before the first.
func restored(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	l := r.process()
	for i := 1; i <= 5; i++ {
		r.append(l, "stream", r.second(i))
	}
	r.options.Table = emulators.NewTable(t, r.options.DynamoDB)
	return r
}

// What the log has, it has without the main table: readers find it, and what the stream brings
// once more is known.
func TestAMainTableThatIsOlderLosesNoEvent(t *testing.T) {
	t.Parallel()
	r := restored(t)
	equal(t, "ids", r.ids(), wantIDs(1, 5))
	if rest, err := r.process().After(t.Context(), part, 2); err != nil || rest.Next != 3 || rest.Events != 3 {
		t.Errorf("after 2 there is %+v, %v", rest, err)
	}
	if n := r.append(r.process(), "stream", r.second(4), r.second(5)); n != 5 {
		t.Errorf("what is there is appended again, as segment %d", n)
	}
	if n := r.append(r.process(), "stream", r.second(5), r.second(6)); n != 6 {
		t.Errorf("segment %d, want 6", n)
	}
	equal(t, "ids", r.ids(), wantIDs(1, 6))
}

// The marker that docs/operations.md gives to a lane that has none in a restored table is
// raised by the next sweep, so that the numbers outlive the segments.
func TestAMarkerGivenAfterARestoreIsRaised(t *testing.T) {
	t.Parallel()
	r := restored(t)
	_, err := r.options.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &r.options.Table, Item: attributes{
		dynamotable.PK: &types.AttributeValueMemberS{Value: "S#0#acme"}, dynamotable.SK: &types.AttributeValueMemberS{Value: "HEAD"},
		attrNumber: &types.AttributeValueMemberN{Value: "0"}, dynamotable.Due: &types.AttributeValueMemberN{Value: "0"},
		dynamotable.DueShard: &types.AttributeValueMemberS{Value: "heads"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.raise(t.Context()); n != 1 {
		t.Fatalf("raised %d markers, want 1", n)
	}
	r.set(base.Add(r.options.Keep + time.Hour))
	r.remove(part, 1, 2, 3, 4, 5)
	if n := r.append(r.process(), "stream", r.second(6)); n != 6 {
		t.Errorf("segment %d, want 6", n)
	}
}

// raised is the number of a marker to which an operator has added a lot.
const raised = 1_000_000_000

// loseSegments puts an empty table in the place of Segments, and raises the marker first.
func (r *rig) loseSegments() {
	r.t.Helper()
	r.options.Segments = emulators.NewSegments(r.t, r.options.DynamoDB)
	if err := r.process().putMarker(r.t.Context(), part, raised); err != nil {
		r.t.Fatal(err)
	}
}

// If the segments are lost, the numbers go on above a marker that was raised by a lot, and
// what was given a number before is not read for what comes.
func TestNumbersGoOnAboveARaisedMarker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	for i := 1; i <= 5; i++ {
		r.append(l, "stream", r.second(i))
	}
	r.loseSegments()
	for i := 6; i <= 8; i++ {
		if n := r.append(r.process(), "stream", r.second(i)); n != raised+uint64(i-5) {
			t.Errorf("segment %d, want %d", n, raised+i-5)
		}
	}
	for _, after := range []uint64{0, 5, raised} {
		if got := r.read(r.process(), after, 1<<20); len(got) != 3 || got[0].Number != raised+1 {
			t.Errorf("after %d: %v, want three segments from %d on", after, got, raised+1)
		}
		if rest, err := r.process().After(t.Context(), part, after); err != nil || rest.Events != 3 || rest.Next != raised+1 {
			t.Errorf("after %d there is %+v, %v", after, rest, err)
		}
	}
	if n, err := r.process().Seek(t.Context(), part, base.Add(7*time.Second)); err != nil || n != raised+1 {
		t.Errorf("Seek: %d, %v, want %d", n, err, raised+1)
	}
}

// The same within Options.Keep of an upgrade, while the main table still has segments of before.
func TestNumbersGoOnAboveARaisedMarkerAfterTheBorder(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	r.loseSegments()
	for i := 8; i <= 10; i++ {
		if n := r.append(r.process(), "stream", r.second(i)); n != raised+uint64(i-7) {
			t.Errorf("segment %d, want %d", n, raised+i-7)
		}
	}
	if got := r.read(r.process(), 0, 1<<20); len(got) != 4 || got[0].Number != 1 {
		t.Errorf("from the start: %v, want the four of before", got)
	}
	if got := r.read(r.process(), 4, 1<<20); len(got) != 3 || got[0].Number != raised+1 {
		t.Errorf("after the border: %v, want three segments from %d on", got, raised+1)
	}
	for second, want := range map[int]uint64{3: 2, 6: raised, 9: raised + 1} {
		if n, err := r.process().Seek(t.Context(), part, base.Add(time.Duration(second)*time.Second)); err != nil || n != want {
			t.Errorf("Seek for second %d: %d, %v, want %d", second, n, err, want)
		}
	}
	r.expire(part, 2)
	if got := r.read(r.process(), 0, 1); len(got) != 1 || got[0].Number != 3 {
		t.Errorf("once two have expired: %v, want number 3", got)
	}
}

// A restored table has the low watermark of its moment, and a marker that is older. Once the
// segments between them have expired, numbers are given again that the watermark has passed,
// unless the marker was raised as docs/operations.md says.
func TestNumbersGoOnAboveARestoredWatermark(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for byHand, want := range map[bool]uint64{false: 2, true: 2 + raised} {
		r := newRig(t)
		r.append(r.process(), "stream", r.second(1))
		r.set(base.Add(10*day + time.Minute))
		if n := r.raise(t.Context()); n != 1 {
			t.Fatalf("%d markers were raised", n)
		}
		r.set(base.Add(18 * day))
		r.append(r.process(), "stream", r.second(2)) // the low watermark at the moment of the restore, on day 19
		r.set(base.Add(49 * day))
		r.remove(part, 1, 2)
		if byHand {
			r.addToMarker(raised)
		}
		if n := r.raise(t.Context()); n != 1 {
			t.Errorf("%d markers were raised, want the one", n)
		}
		if n := r.append(r.process(), "stream", r.second(3)); n != want {
			t.Errorf("raised by the procedure %v: the next segment got number %d, want %d", byHand, n, want)
		}
	}
}

// addToMarker does what the procedure of docs/operations.md does.
func (r *rig) addToMarker(n int) {
	r.t.Helper()
	update := expression.Set(expression.Name(attrNumber), expression.Name(attrNumber).Plus(expression.Value(n)))
	expr, err := expression.NewBuilder().WithUpdate(update).Build()
	if err != nil {
		r.t.Fatal(err)
	}
	k, err := attributevalue.MarshalMap(newKey(part, skMarker))
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.options.DynamoDB.UpdateItem(r.t.Context(), &dynamodb.UpdateItemInput{
		TableName: &r.options.Table, Key: k, UpdateExpression: expr.Update(),
		ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	}); err != nil {
		r.t.Fatal(err)
	}
}

// A marker above the end is due as often as others, and keeps its number.
func TestAMarkerAboveTheEndIsNotDueForEver(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	if err := r.process().putMarker(t.Context(), part, raised); err != nil {
		t.Fatal(err)
	}
	r.set(base.Add(11 * 24 * time.Hour))
	if first, second := r.raise(t.Context()), r.raise(t.Context()); first != 1 || second != 0 {
		t.Errorf("%d were raised, then %d, want one and none", first, second)
	}
	var m marker
	if _, err := r.process().get(t.Context(), r.options.Table, newKey(part, skMarker), &m); err != nil || m.Number != raised {
		t.Errorf("its number is %d, %v", m.Number, err)
	}
}
