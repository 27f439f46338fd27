package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// storedTimes are the times in stored records, by their JSON names, and how far ahead of the
// clock each may be. Those that a customer gives, starts_at and ends_at, are left alone.
var storedTimes = map[string]time.Duration{
	"created_at": 0, "stopped_at": 0, "oldest_waiting": 0, "completed_at": 0, "joined_at": 0, "left_at": 0, "at": 0, "failing_since": 0, "tried_at": 0, "created": 0, "delivered_at": 0, "newest": 0,
	"lag_from": 0, "rejecting_at": 0, "since": 0,
	"due_at": 0, "slow_until": 0, "moved_to": 0, "next": 0, "retry_until": 0, // what waits goes on at once
	"quiet_at": unsettled, "until": unsettled, "upload_until": unsettled,
	"previous_expires": 24 * time.Hour,
}

// unsettled is how long a bucket may take to complete an upload: sink.UploadTimeout.
const unsettled = 10 * time.Minute

// stampedTables are the tables whose records have times. Those that are read by a time have
// it in a column too.
var stampedTables = []struct {
	table   string
	columns []string
}{
	{"integrations", []string{"completed_at", "troubled_at"}},
	{"records", nil},
	{"cursors", []string{"due_at"}},
	{"entries", []string{"created_at"}},
	{"rejected_counts", nil},
	{"rejected", nil},
	{"alerts", []string{"due_at"}},
}

// ResetTimes lowers the times that were stored by a clock which was ahead, so that nothing
// waits for them: those that are further ahead of now than such a time ever is. Nothing
// else may use the database. If it is interrupted, some are lowered; call it again.
func ResetTimes(ctx context.Context, db *sqlitedb.DB, now time.Time) error {
	now = now.Truncate(time.Millisecond) // pages of a list continue at times in whole milliseconds
	for _, t := range stampedTables {
		if err := resetTable(ctx, db, t.table, t.columns, now); err != nil {
			return err
		}
	}
	return forgetDeliveries(ctx, db, now)
}

// forgetDeliveries deletes the delivery records of a later time: what comes now has to come
// after them, and would wait with them until they expire.
func forgetDeliveries(ctx context.Context, db *sqlitedb.DB, now time.Time) error {
	return db.Write(ctx, sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec("DELETE FROM deliveries WHERE at > ?", nanos(now))
		return err
	})
}

// resetBatch is how many rows are read, and then written, at a time.
const resetBatch = 1000

// listReset lowers the times of the list with those of a batch of rejected events, in one
// transaction, as each event is found in the list by its time: after an interruption the
// next call has another one.
const listReset = `UPDATE rejected_list SET created_at = ? WHERE created_at > ? AND (tenant, integration, incarnation, event_id) IN (
	SELECT tenant, integration, incarnation, event_id FROM rejected WHERE rowid > ? AND rowid <= ?)`

func resetTable(ctx context.Context, db *sqlitedb.DB, table string, columns []string, now time.Time) error {
	for after := int64(0); ; {
		rows, last, err := rowsAhead(ctx, db, table, after, now)
		if err != nil || last == 0 {
			return err
		}
		first := after
		after = last
		err = db.Write(ctx, sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error {
			if table == "rejected" {
				if _, err := tx.Exec(listReset, nanos(now), nanos(now), first, last); err != nil {
					return err
				}
			}
			for id, data := range rows {
				if _, err := tx.Exec("UPDATE "+table+" SET data = ? WHERE rowid = ?", data, id); err != nil {
					return err
				}
				for _, column := range columns {
					if _, err := tx.Exec("UPDATE "+table+" SET "+column+" = ? WHERE rowid = ? AND "+column+" > ?", nanos(now), id, nanos(now)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// rowsAhead returns the new data of the rows that have a time to lower, among the next of a
// table, and the last row of those; 0 if there is none.
func rowsAhead(ctx context.Context, db *sqlitedb.DB, table string, after int64, now time.Time) (changed map[int64][]byte, last int64, err error) {
	changed = make(map[int64][]byte)
	s := New(db)
	err = s.each(ctx, "SELECT rowid, data FROM "+table+" WHERE rowid > ? ORDER BY rowid LIMIT ?", []any{after, resetBatch}, func(scan func(...any) error) error {
		var data []byte
		if err := scan(&last, &data); err != nil {
			return err
		}
		var lowered bool
		if data, lowered = lowerTimes(data, now); lowered {
			changed[last] = data
		}
		return nil
	})
	return changed, last, err
}

// lowerTimes returns a record with its times lowered, and whether any was. One that cannot
// be decoded is left as it is.
func lowerTimes(data []byte, now time.Time) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var record any
	if d.Decode(&record) != nil || !lowerIn(record, now) {
		return nil, false
	}
	data, err := encode(record)
	return data, err == nil
}

// lowerIn lowers the times in a decoded value and reports whether there were any.
func lowerIn(value any, now time.Time) (lowered bool) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			lowered = lowerIn(element, now) || lowered
		}
	case map[string]any:
		for name, field := range v {
			text, _ := field.(string)
			at, err := time.Parse(time.RFC3339Nano, text)
			ahead, known := storedTimes[name]
			if latest := now.Add(ahead).UTC(); known && err == nil && at.After(latest) {
				v[name], lowered = latest, true
				continue
			}
			lowered = lowerIn(field, now) || lowered
		}
	}
	return lowered
}
