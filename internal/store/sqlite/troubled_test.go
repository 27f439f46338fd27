package sqlite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/sqlite"
)

// A page costs what it has: neither the other integrations are read, nor is anything sorted.
func TestTroubledGoesAlongItsIndex(t *testing.T) {
	_, db := open(t, t.TempDir())
	plan := explain(t, db, sqlite.TroubledQuery)
	if !strings.Contains(plan, "USING INDEX integrations_troubled") || strings.Contains(plan, "TEMP B-TREE") {
		t.Error(plan)
	}
}

// A record that is damaged is in the list with what the index has of it, and hides no other.
func TestADamagedRecordHidesNoOtherTrouble(t *testing.T) {
	s, db := open(t, t.TempDir())
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, id := range []string{"a", "b", "c"} {
		in := &integration.Integration{Tenant: "acme", ID: id, Alerts: integration.Alerts{Since: since}}
		if err := s.Commit(t.Context(), store.PutIntegration{Integration: in}); err != nil {
			t.Fatal(err)
		}
	}
	err := db.Write(t.Context(), sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec("UPDATE integrations SET data = x'00' WHERE id = 'b'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found, next, err := s.Troubled(t.Context(), store.TroublePlace{}, 2)
	if err != nil || len(found) != 2 || found[0].Integration == nil || next != (store.TroublePlace{Since: since, Tenant: "acme", ID: "b"}) {
		t.Fatalf("%+v, next %v, %v", found, next, err)
	}
	if b := found[1]; b.TroublePlace != next || b.Integration != nil || problem.CodeOf(b.Err) != problem.Internal {
		t.Errorf("the damaged one is %+v", b)
	}
	if found, _, err = s.Troubled(t.Context(), next, 2); err != nil || len(found) != 1 || found[0].Integration.ID != "c" {
		t.Errorf("after it: %+v, %v", found, err)
	}
}
