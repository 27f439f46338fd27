package dynamo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Commit implements store.Store. One write is one conditional put or delete;
// several are one transaction, which costs twice as much. A DeleteHistory counts
// as two of the hundred writes.
//
// A write whose answer was lost is repeated by the client. A put then meets its
// own version and holds; so does a transaction. A single conditional delete is a
// conflict then.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	if err := store.Check(writes); err != nil {
		return err
	}
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
			*c.version = c.next
		}
	}
	return nil
}

// commitNumber returns a number that grows with every commit: the time in ns,
// or one more than the last if the clock stands.
func (s *Store) commitNumber() int64 {
	for {
		last := s.lastCommit.Load()
		if next := max(s.now().UnixNano(), last+1); s.lastCommit.CompareAndSwap(last, next) {
			return next
		}
	}
}

// entryOrder sorts the entries of one time: by their commit, then within it. The
// letters at the end keep apart those of two hosts at the same nanosecond.
func entryOrder(commit int64, index int) string {
	return fmt.Sprintf("%019d#%02d#%04x", max(commit, 0), index, rand.N(1<<16))
}

// change is one item that a Commit puts or deletes.
type change struct {
	key  key
	item item // to put, nil to delete what is there

	conditional bool
	must        uint64 // the version that must be there, 0 for no item

	version *uint64 // where to set next after the commit, nil for nowhere
	next    uint64  // the version put
}

// put returns the change that puts a versioned record.
func put(k key, it item, version *uint64) change {
	c := change{key: k, item: it, conditional: true, must: *version, version: version, next: nonce()}
	it[attrVersion] = versionNumber(c.next)
	return c
}

func remove(k key, version uint64) change { return change{key: k, conditional: true, must: version} }

func (s *Store) changesOf(w store.Write, order string) ([]change, error) {
	switch w := w.(type) {
	case store.PutTenant:
		return putRecord(tenantKey(w.Tenant.Name), w.Tenant, &w.Tenant.Version, "", time.Time{})
	case store.PutIntegration:
		in := w.Integration
		return putRecord(integrationKey(in.Tenant, in.ID), in, &in.Version, kindGrace, in.CompletedAt)
	case store.DeleteIntegration:
		in := w.Integration
		return []change{remove(integrationKey(in.Tenant, in.ID), in.Version)}, nil
	case store.PutRecord:
		return putRecord(recordKey(w.Record.Partition), w.Record, &w.Record.Version, "", time.Time{})
	case store.PutCursor:
		return putRecord(cursorKey(w.Cursor.Key), w.Cursor, &w.Cursor.Version, kindDue, w.Cursor.DueAt)
	case store.DeleteCursor:
		return []change{remove(cursorKey(w.Cursor.Key), w.Cursor.Version)}, nil
	case store.PutRejectedIndex:
		return putRecord(indexKey(w.History), w.Index.Entries, &w.Index.Version, "", time.Time{})
	case store.PutRejected:
		k := rejectedKey(w.History, w.Rejected.Event.ID)
		it, err := encodeRejected(k, w.Rejected)
		if err != nil {
			return nil, err
		}
		return []change{put(k, it, &w.Rejected.Version)}, nil
	case store.DeleteRejected:
		return []change{{key: rejectedKey(w.History, w.EventID)}}, nil
	case store.AddEntry:
		return addEntry(w, order)
	case store.DeleteHistory:
		return deleteHistory(w.History, s.now()), nil
	default:
		return nil, problem.New(problem.Internal, "the store does not know the write %T", w)
	}
}

// putRecord puts a record, which is in the timetable if due is not zero.
func putRecord(k key, record any, version *uint64, kind string, due time.Time) ([]change, error) {
	it, err := newItem(k, record)
	if err != nil {
		return nil, err
	}
	k.at(it, kind, due)
	return []change{put(k, it, version)}, nil
}

// condition is what must hold for a change: an expression, its names and values,
// all nil for a change without one.
func (c *change) condition() (*string, map[string]string, item) {
	switch {
	case !c.conditional:
		return nil, nil, nil
	case c.must == 0:
		return aws.String("attribute_not_exists(#pk)"), map[string]string{"#pk": attrPK}, nil
	default:
		return aws.String("#version = :version"), map[string]string{"#version": attrVersion}, item{":version": versionNumber(c.must)}
	}
}

// send makes a single change.
func (s *Store) send(ctx context.Context, c *change) error {
	expression, names, values := c.condition()
	if c.item == nil {
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: s.table, Key: c.key.attributes(),
			ConditionExpression: expression, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		})
		return err
	}
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: s.table, Item: c.item,
		ConditionExpression: expression, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err
}

// inTransaction is a change as part of a transaction.
func (s *Store) inTransaction(c *change) types.TransactWriteItem {
	expression, names, values := c.condition()
	if c.item == nil {
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: s.table, Key: c.key.attributes(),
			ConditionExpression: expression, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		}}
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName: s.table, Item: c.item,
		ConditionExpression: expression, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}
