package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

const alertDelete = "DELETE FROM alerts" + ofHistory + " AND number = ?"

func alertArgs(a *store.Alert) []any { return append(historyArgs(a.History), int64(a.Number)) }

// Alerts implements store.Store.
func (s *Store) Alerts(ctx context.Context, before time.Time, limit int) ([]*store.Alert, error) {
	var due []*store.Alert
	query := "SELECT version, data FROM alerts WHERE due_at <= ? ORDER BY due_at, tenant, integration, incarnation, number LIMIT ?"
	err := s.each(ctx, query, []any{nanos(before), max(limit, 0)}, func(scan func(...any) error) error {
		a := &store.Alert{}
		var data []byte
		if err := scan(&a.Version, &data); err != nil {
			return err
		}
		due = append(due, a)
		return decode(data, a)
	})
	return due, err
}

// onlyTold reports whether a Commit changes an integration only to note what an operator is
// told of it: nobody waits for that.
func onlyTold(writes []store.Write) (told bool) {
	for _, w := range writes {
		switch w.(type) {
		case store.PutTenant:
			return false
		case store.PutAlert:
			told = true
		}
	}
	return told
}

// TakeAlerts removes alerts in a transaction that publishes them. It reports false, and
// removes none, if one is not there: then it is published already.
func TakeAlerts(tx *sqlitedb.Tx, all []*store.Alert) (bool, error) {
	for _, a := range all {
		found, err := tx.QueryRow("SELECT 1 FROM alerts"+ofHistory+" AND number = ?", alertArgs(a), new(int))
		if err != nil || !found {
			return false, err
		}
	}
	for _, a := range all {
		if _, err := tx.Exec(alertDelete, alertArgs(a)...); err != nil {
			return false, err
		}
	}
	return true, nil
}
