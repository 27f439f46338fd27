package node

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// execute runs a statement in the database of a node that is closed.
func execute(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, sqlitedb.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A node whose database cannot be read at its start serves all the same, and delivers
// once it can.
func TestDeliveryResumesOnceTheDatabaseCanBeRead(t *testing.T) {
	dir, r := t.TempDir(), newReceiver(t)
	n := openNode(t, dir)
	register(t, n, "hook", r.URL)
	closeNode(t, n)
	execute(t, dir, "ALTER TABLE tenants RENAME TO hidden")

	n = openNodeWith(t, dir, func(c *Config) { c.Lanes = 2 })
	defer closeNode(t, n)
	publishTo(t, n, 3)
	err := n.db.Write(t.Context(), sqlitedb.Turn{Bytes: 1}, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec("ALTER TABLE hidden RENAME TO tenants")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.wait(t, 3)
}

// grow makes the database of a node so large that it is not checked before use.
func grow(t *testing.T, dir string) {
	t.Helper()
	execute(t, dir, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80)
		INSERT INTO cursors (tenant, integration, lane, version, data) SELECT 'acme', 'gone', i, 1, zeroblob(1 << 20) FROM n`)
}

// A large database is checked while the node serves. If it is damaged, the node ends and
// says what to do.
func TestNodeEndsIfItsDatabaseIsDamaged(t *testing.T) {
	dir := t.TempDir()
	closeNode(t, openNode(t, dir))
	grow(t, dir)
	path := filepath.Join(dir, sqlitedb.FileName)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 8192), 40<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", dir, true
	n, err := Open(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := n.Run(ctx); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("Run = %v, want an error that says that the database is damaged", err)
	}
}

// A database that cannot be checked for now does not end the node, which serves all the
// same; its log says so.
func TestNodeGoesOnIfItsDatabaseCannotBeChecked(t *testing.T) {
	dir := t.TempDir()
	closeNode(t, openNode(t, dir))
	grow(t, dir)
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	n := &Node{db: db, logger: slog.New(slog.NewTextHandler(&log, nil)), failed: make(chan error, 1)}
	n.checkData(t.Context())
	select {
	case err := <-n.failed:
		t.Errorf("the node ends: %v", err)
	default:
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "is not checked") {
		t.Errorf("the log says %q", &log)
	}
}

// A damaged record of one tenant keeps no other tenant's events from being delivered, also
// in lanes that are new.
func TestDamagedRecordsOfOneTenantHoldUpNoOther(t *testing.T) {
	for _, table := range []string{"integrations", "records", "tenants"} {
		for _, lanes := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d lanes", table, lanes), func(t *testing.T) {
				dir, r := t.TempDir(), newReceiver(t)
				n := openNode(t, dir)
				register(t, n, "hook", r.URL)
				publishTo(t, n, 1)
				r.wait(t, 1)
				until(t, "there is a record of each kind", func() bool { // the integration has joined live delivery
					var records int
					_, err := n.db.QueryRow(t.Context(), "SELECT count(*) FROM records", nil, &records)
					return err == nil && records > 0
				})
				closeNode(t, n)
				execute(t, dir, "INSERT INTO integrations (tenant, id, version, data) VALUES ('a-first', 'hook', 1, (SELECT data FROM integrations));"+
					"INSERT INTO tenants (tenant, version, data) VALUES ('a-first', 1, (SELECT data FROM tenants));"+
					"INSERT INTO records (tenant, lane, version, data) VALUES ('a-first', 0, 1, (SELECT data FROM records));"+
					"INSERT INTO partitions (id, tenant, lane) SELECT max(id) + 1, 'a-first', 0 FROM partitions;"+
					"INSERT INTO segments (id, first_ms, last_ms, events, before, data) SELECT (SELECT max(id) FROM partitions) << 40 | 1, first_ms, last_ms, events, before, data FROM segments;"+
					"UPDATE "+table+" SET data = x'00' WHERE tenant = 'a-first'")

				n = openNodeWith(t, dir, func(c *Config) { c.Lanes = lanes })
				defer closeNode(t, n)
				publishTo(t, n, 20) // into each of the lanes
				r.wait(t, 20)
			})
		}
	}
}

// Nothing tells whether a record that cannot be read holds a secret. So the node needs no
// new key, and starts with the one it has.
func TestANodeStartsBesideADamagedIntegration(t *testing.T) {
	dir, r := t.TempDir(), newReceiver(t)
	n := openNode(t, dir)
	register(t, n, "hook", r.URL)
	closeNode(t, n)
	execute(t, dir, "UPDATE integrations SET data = x'00'")
	closeNode(t, openNode(t, dir))

	if err := os.Remove(filepath.Join(dir, local.Name)); err != nil {
		t.Fatal(err)
	}
	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", dir, true
	if _, err := Open(t.Context(), config, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("the key of a secret that may be stored was replaced by a new one")
	}
}
