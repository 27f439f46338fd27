package dynamo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Commit implements store.Store. One write is one conditional put or delete;
// several are one transaction, which costs twice as much.
//
// The client retries a write whose response was lost. A retried put finds its own
// version and succeeds; so does a transaction. A retried conditional delete is a
// conflict.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	if err := store.Check(writes); err != nil {
		return err
	}
	writes, records := splitDeliveries(writes)
	var changes []change
	at := s.commitNumber()
	for i, w := range writes {
		of, err := s.changesOf(w, entryOrder(at, i))
		if err != nil {
			return err
		}
		changes = append(changes, of...)
	}
	if err := s.write(ctx, changes); err != nil {
		return err
	}
	for _, c := range changes {
		if c.version != nil {
			*c.version = c.put.Version
		}
	}
	for i := range records {
		if err := s.addDeliveries(ctx, &records[i]); err != nil && s.DeliveriesLost != nil {
			s.DeliveriesLost(err)
		}
	}
	return nil
}

// commitNumber returns a number that grows with every commit: the time in ns,
// or one more than the last if the clock has not advanced.
func (s *Store) commitNumber() int64 {
	for {
		last := s.lastCommit.Load()
		if next := max(s.now().UnixNano(), last+1); s.lastCommit.CompareAndSwap(last, next) {
			return next
		}
	}
}

// entryOrder sorts the entries of one time by their commit, then within it. The
// random digits at the end keep two hosts' entries of the same nanosecond apart.
func entryOrder(commit int64, index int) string {
	return fmt.Sprintf("%019d#%02d#%04x", max(commit, 0), index, rand.N(1<<16))
}

// change is one item that a Commit puts or deletes.
type change struct {
	key key
	put *item // nil: the item is deleted

	conditional bool
	must        uint64 // the version that must be stored; 0: no item

	version *uint64 // receives the version of put after the commit, unless nil
}

// put returns the change that puts a versioned record.
func put(it *item, version *uint64) change {
	it.Version = nonce()
	return change{key: it.key, put: it, conditional: true, must: *version, version: version}
}

func remove(k key, version uint64) change { return change{key: k, conditional: true, must: version} }

func (s *Store) changesOf(w store.Write, order string) ([]change, error) {
	switch w := w.(type) {
	case store.PutTenant:
		return putRecord(tenantKey(w.Tenant.Name), w.Tenant, &w.Tenant.Version, "", time.Time{})
	case store.PutLanes:
		return putRecord(lanesKey, w.Lanes, &w.Lanes.Version, "", time.Time{})
	case store.PutIntegration:
		in := w.Integration
		kind, due := indexed(in)
		return putRecord(integrationKey(in.Tenant, in.ID), in, &in.Version, kind, due)
	case store.DeleteIntegration:
		in := w.Integration
		return []change{remove(integrationKey(in.Tenant, in.ID), in.Version)}, nil
	case store.PutPartition:
		return putRecord(recordKey(w.State.Partition), w.State, &w.State.Version, "", time.Time{})
	case store.PutCursor:
		return putRecord(cursorKey(w.Cursor.Key), w.Cursor, &w.Cursor.Version, kindDue, w.Cursor.DueAt)
	case store.DeleteCursor:
		return []change{remove(cursorKey(w.Cursor.Key), w.Cursor.Version)}, nil
	case store.PutRejectedCount:
		return putCount(w)
	case store.PutRejected:
		return putRejected(w)
	case store.DeleteRejected:
		return []change{{key: rejectedKey(w.History, w.Ref.EventID)}, {key: listKey(w.History, w.Ref)}}, nil
	case store.AddEntry:
		return addEntry(w, order)
	case store.PutAlert:
		return putRecord(alertKey(w.Alert), w.Alert, &w.Alert.Version, kindAlert, w.Alert.DueAt)
	case store.DeleteAlert:
		return []change{{key: alertKey(w.Alert)}}, nil
	case store.DeleteHistory:
		return deleteHistory(w.History, s.now()), nil
	default:
		return nil, problem.New(problem.Internal, "unknown write %T", w)
	}
}

// putRecord puts a versioned record and, unless due is zero, adds it to the due
// index.
func putRecord(k key, record any, version *uint64, kind string, due time.Time) ([]change, error) {
	it, err := newItem(k, record)
	if err != nil {
		return nil, err
	}
	it.dueAt(kind, due)
	return []change{put(it, version)}, nil
}

// condition returns the condition expression of a change, empty if it has none.
func (c *change) condition() (expression.Expression, error) {
	switch {
	case !c.conditional:
		return expression.Expression{}, nil
	case c.must == 0:
		return expression.NewBuilder().WithCondition(expression.Name(dynamotable.PK).AttributeNotExists()).Build()
	default:
		return expression.NewBuilder().WithCondition(expression.Name("version").Equal(expression.Value(c.must))).Build()
	}
}

// transactItem returns a change as an item of a transaction.
func (s *Store) transactItem(c *change) (types.TransactWriteItem, error) {
	expr, err := c.condition()
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	if c.put == nil {
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: s.table, Key: c.key.Attributes(),
			ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
		}}, nil
	}
	attrs, err := attributevalue.MarshalMap(c.put)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName: s.table, Item: attrs,
		ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}, nil
}
