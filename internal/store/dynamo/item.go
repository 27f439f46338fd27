package dynamo

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// item is what is stored under a key.
type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func versionNumber(v uint64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(v, 10)}
}

// nonce returns a version that no record had before: any of 2^64 but 0.
func nonce() uint64 {
	for {
		if n := rand.Uint64(); n != 0 {
			return n
		}
	}
}

// versionOf returns the version of an item, 0 if it has none.
func versionOf(it item) uint64 {
	n, ok := it[attrVersion].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	v, err := strconv.ParseUint(n.Value, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// dueMillis is a time in the timetable: the first whole millisecond that is not
// before it, so that nothing is found too early.
func dueMillis(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// dueOf returns the time of an item in the timetable.
func dueOf(it item) (int64, bool) {
	n, ok := it[attrDue].(*types.AttributeValueMemberN)
	if !ok {
		return 0, false
	}
	ms, err := strconv.ParseInt(n.Value, 10, 64)
	return ms, err == nil
}

// expires is when an item that was made at a time may go: seconds, rounded up.
func expires(made time.Time, after time.Duration) types.AttributeValue {
	return number(made.Add(after + time.Second - 1).Unix())
}

// newItem returns the item of a record, without a version.
func newItem(k key, record any) (item, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "a %T cannot be stored", record)
	}
	it := k.attributes()
	it[attrDoc] = text(string(data))
	return it, nil
}

// at puts an item into the timetable, for the zero time nowhere.
func (k key) at(it item, kind string, t time.Time) {
	if t.IsZero() {
		return
	}
	it[attrTimetable], it[attrDue] = text(timetable(kind, k)), number(dueMillis(t))
}

// decode reads an item into a record.
func decode(it item, record any) error {
	doc, ok := it[attrDoc].(*types.AttributeValueMemberS)
	if !ok {
		return problem.New(problem.Internal, "the stored item %q %q has no %s", keyOf(it).pk, keyOf(it).sk, attrDoc)
	}
	if err := json.Unmarshal([]byte(doc.Value), record); err != nil {
		return problem.Wrap(err, problem.Internal, "a stored %T cannot be read", record)
	}
	return nil
}

// decodeVersioned is decode for a record with a version. One without is
// damaged: no condition on it would ever hold.
func decodeVersioned(it item, record any, version *uint64) error {
	if *version = versionOf(it); *version == 0 {
		return problem.New(problem.Internal, "the stored item %q %q has no %s", keyOf(it).pk, keyOf(it).sk, attrVersion)
	}
	return decode(it, record)
}

func decodeIntegration(it item) (*integration.Integration, error) {
	in := &integration.Integration{}
	if err := decodeVersioned(it, in, &in.Version); err != nil {
		return nil, err
	}
	tenant, id, ok := integrationOf(keyOf(it))
	if !ok {
		return nil, problem.New(problem.Internal, "the stored item %q %q is no integration", keyOf(it).pk, keyOf(it).sk)
	}
	in.Tenant, in.ID = tenant, id
	return in, nil
}

// rejectedDoc is what is stored of a rejected event beside the event.
type rejectedDoc struct {
	CreatedAt  time.Time `json:"created_at"`
	Attempts   int       `json:"attempts,omitzero"`
	RetryUntil time.Time `json:"retry_until,omitzero"`
}

func encodeRejected(k key, r *integration.Rejected) (item, error) {
	it, err := newItem(k, rejectedDoc{CreatedAt: r.CreatedAt, Attempts: r.Attempts, RetryUntil: r.RetryUntil})
	if err != nil {
		return nil, err
	}
	it[attrEvent] = &types.AttributeValueMemberB{Value: eventlog.AppendSegment(nil, []event.Event{r.Event})}
	return it, nil
}

func decodeRejected(tenant string, it item) (*integration.Rejected, error) {
	var doc rejectedDoc
	r := &integration.Rejected{}
	if err := decodeVersioned(it, &doc, &r.Version); err != nil {
		return nil, err
	}
	var data []byte
	if b, ok := it[attrEvent].(*types.AttributeValueMemberB); ok {
		data = b.Value
	}
	events, err := eventlog.DecodeSegment(tenant, data)
	if err != nil || len(events) != 1 {
		return nil, problem.Wrap(err, problem.Internal, "the rejected event %q is damaged", keyOf(it).sk)
	}
	r.Event, r.CreatedAt, r.Attempts, r.RetryUntil = events[0], doc.CreatedAt, doc.Attempts, doc.RetryUntil
	return r, nil
}
