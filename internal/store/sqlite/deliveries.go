package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// trimDeliveries is how many delivery records one step deletes. They are small.
const trimDeliveries = 500

const (
	ofDeliveries = " WHERE tenant = ? AND lane = ? AND integration = ?"
	// deliveriesInsert gives a record the time after that of the last one if the clock has not
	// moved on since. That one is on the page that the new one goes to.
	deliveriesInsert = "INSERT INTO deliveries (tenant, lane, integration, at, first, last, data) " +
		"SELECT ?1, ?2, ?3, max(?4, ifnull((SELECT max(at) + 1 FROM deliveries WHERE tenant = ?1 AND lane = ?2 AND integration = ?3), ?4)), ?5, ?6, ?7"
	deliveriesQuery = "SELECT at, first, last, data FROM deliveries" + ofDeliveries + " AND at >= ? AND at < ? AND last >= ? AND first <= ? ORDER BY at"
	deliveriesNext  = "SELECT tenant, lane, integration FROM deliveries WHERE (tenant, lane, integration) > (?, ?, ?) ORDER BY tenant, lane, integration LIMIT 1"
	deliveriesOld   = "SELECT at FROM deliveries" + ofDeliveries + " AND at < ? ORDER BY at LIMIT 1"
	deliveriesTrim  = "DELETE FROM deliveries" + ofDeliveries + " AND at IN (SELECT at FROM deliveries" + ofDeliveries + " AND at < ? ORDER BY at LIMIT ?)"
)

func addDeliveries(r deliveries.Record) change {
	args := []any{r.Partition.Tenant, r.Partition.Lane, r.Integration, nanos(r.At), int64(r.First), int64(r.Last), r.Data}
	return change{steps: []step{{deliveriesInsert, args, 1}}, size: len(r.Data)}
}

// Deliveries implements store.Store.
func (s *Store) Deliveries(ctx context.Context, q deliveries.Query) ([]deliveries.Record, error) {
	before, within, query := int64(math.MaxInt64), int64(math.MaxInt64), deliveriesQuery
	if !q.Before.IsZero() {
		before = nanos(q.Before)
	}
	if q.Within > 0 {
		within = int64(q.Within)
	}
	if !q.Oldest {
		query += " DESC"
	}
	args := []any{q.Partition.Tenant, q.Partition.Lane, q.Integration, nanos(q.From), before, int64(q.Through), within, max(q.Limit, 0)}
	var found []deliveries.Record
	err := s.each(ctx, query+" LIMIT ?", args, func(scan func(...any) error) error {
		r := deliveries.Record{Partition: q.Partition, Integration: q.Integration}
		var at, first, last int64
		if err := scan(&at, &first, &last, &r.Data); err != nil {
			return err
		}
		r.At, r.First, r.Last = time.Unix(0, at).UTC(), uint64(first), uint64(last)
		found = append(found, r)
		return nil
	})
	return found, err
}

// TrimDeliveries deletes the delivery records of before the given time, in small steps, and
// returns how many, also with an error. Where there is none to delete it only reads: one
// look-up for each partition, and for each integration in it that has caught up.
func (s *Store) TrimDeliveries(ctx context.Context, before time.Time) (deleted int, err error) {
	at, tenant, lane, integration := nanos(before), "", 0, ""
	for {
		found, err := s.db.QueryRow(ctx, deliveriesNext, []any{tenant, lane, integration}, &tenant, &lane, &integration)
		if err != nil || !found {
			return deleted, err
		}
		var oldest int64
		found, err = s.db.QueryRow(ctx, deliveriesOld, []any{tenant, lane, integration, at}, &oldest)
		if err != nil {
			return deleted, err
		}
		for rows := int64(trimDeliveries); found && rows == trimDeliveries; {
			args := []any{tenant, lane, integration, tenant, lane, integration, at, trimDeliveries}
			err := s.db.Write(ctx, sqlitedb.Turn{Class: sqlitedb.Maintenance}, func(tx *sqlitedb.Tx) (err error) {
				rows, err = tx.Exec(deliveriesTrim, args...)
				return err
			})
			if err != nil {
				return deleted, err
			}
			deleted += int(rows)
		}
	}
}
