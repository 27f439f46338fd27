package node

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

var callbackURL = regexp.MustCompile(`"http://127[^"]*"`)

// directoryOfBefore creates a data directory from the database of a version in testdata,
// which a node of then wrote: of the tenant acme hook is live, failing was refused the
// events 4 to 15 but for 6 and 7, rejecting rejected everything, stopped was stopped after
// the event 3, replay is finished and gone deleted; from version 3 on skipping is live,
// without the event 4. The events 12 to 14 are other's. Version 1 has no events before 0, the
// later ones had four, which were trimmed. Its receivers are where url says, and its
// idempotency keys have not expired.
func directoryOfBefore(t *testing.T, version int, url string) string {
	t.Helper()
	script, err := os.ReadFile(fmt.Sprintf("../sqlitedb/testdata/version%d.sql", version))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, sqlitedb.FileName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), "SELECT tenant, id, data FROM integrations")
	if err != nil {
		t.Fatal(err)
	}
	updates := map[[2]string]string{}
	for rows.Next() {
		var tenant, id, data string
		if err := rows.Scan(&tenant, &id, &data); err != nil {
			t.Fatal(err)
		}
		updates[[2]string{tenant, id}] = callbackURL.ReplaceAllString(data, `"`+url+"/"+tenant+"-"+id+`"`)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for key, data := range updates {
		if _, err := db.ExecContext(t.Context(), "UPDATE integrations SET data = ? WHERE tenant = ? AND id = ?", []byte(data), key[0], key[1]); err != nil {
			t.Fatal(err)
		}
	}
	if version >= 3 {
		if _, err := db.ExecContext(t.Context(), "UPDATE idempotency_keys SET expires_ms = 1 << 50"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// After an upgrade everything goes on where it stood: nothing is lost, and what was
// acknowledged is not sent again.
func TestAnUpgradeGoesOnWhereItStood(t *testing.T) {
	for _, before := range []upgrade{{version: 1, entries: 23}, {version: 2, entries: 21}, {version: 3, entries: 20, skipping: true}} {
		t.Run(fmt.Sprint("from version ", before.version), before.test)
	}
}

// upgrade is a version to upgrade from, and what it has that others do not.
type upgrade struct {
	version  int
	entries  int  // in the log of rejecting
	skipping bool // the integration, and an idempotency key
}

func (u upgrade) test(t *testing.T) {
	var mu sync.Mutex
	got := map[string][]string{} // numbers of events, by the receiver's path
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get("webhook-id")
		got[r.URL.Path] = append(got[r.URL.Path], strings.TrimLeft(id[len(id)-2:], "0"))
	}))
	t.Cleanup(receiver.Close)
	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", directoryOfBefore(t, u.version, receiver.URL), true
	config.Lanes, config.MaxRejected = 2, 5
	config.Retention, config.FailureStopAfter = 100*365*24*time.Hour, 50*365*24*time.Hour
	var log bytes.Buffer
	n, err := Open(t.Context(), config, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		closeNode(t, n)
		if !strings.Contains(log.String(), `msg="migrating the database; an older release cannot open it any more" from_version=`+fmt.Sprint(u.version)) {
			t.Errorf("the log says nothing of a migration: %s", &log)
		}
	}()
	if _, err := n.life.Start(t.Context(), "acme", "stopped"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"/acme-failing": "10 11 15 4 5 8 9",
		"/acme-stopped": "10 11 15 4 5 6 7 8 9",
	}
	until(t, "failing and stopped have what they lacked", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for path, events := range want {
			if have := slices.Sorted(slices.Values(got[path])); strings.Join(have, " ") != events {
				t.Logf("%s has %v, want %s", path, have, events)
				return false
			}
		}
		return true
	})
	mu.Lock()
	if len(got) != len(want) {
		t.Errorf("events came to %v, want only to those that lacked some", got)
	}
	mu.Unlock()

	rejects := store.History{Tenant: "acme", Integration: "rejecting"}
	in, err := n.life.Get(t.Context(), "acme", "rejecting")
	if err != nil {
		t.Fatal(err)
	}
	rejects.Incarnation = in.Incarnation
	list, err := n.store.OldestRejected(t.Context(), rejects, 100)
	if err != nil || len(list) != 5 {
		t.Fatalf("the rejected events are %v, %v, want 5", list, err)
	}
	for _, ref := range list {
		if _, err := n.store.Rejected(t.Context(), rejects, ref.EventID); err != nil {
			t.Error(err)
		}
	}
	if entries, err := n.store.Entries(t.Context(), rejects, 50); err != nil || len(entries) != u.entries {
		t.Errorf("%d log entries, %v, want %d", len(entries), err, u.entries)
	}
	if replay, err := n.life.Get(t.Context(), "acme", "replay"); err != nil || replay.StatusAt(time.Now()) != integration.Stopped {
		t.Errorf("the replay is %+v, %v", replay, err)
	}
	if _, err := n.life.Get(t.Context(), "acme", "gone"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("the deleted integration: %v", err)
	}
	if u.skipping {
		u.again(t, n)
	}
	publishTo(t, n, 1) // to hook, failing, rejecting and stopped
	until(t, "a new event arrives everywhere", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got["/acme-hook"]) == 1 && len(got["/acme-failing"]) == 8 && len(got["/acme-rejecting"]) == 1 && len(got["/acme-stopped"]) == 10 &&
			(!u.skipping || len(got["/acme-skipping"]) == 1)
	})
	usage := usageOf(t, config.Data, "acme")
	integrations := 5
	if u.skipping {
		integrations = 6
	}
	if usage.Integrations != integrations || usage.Events != 14 || usage.Bytes == 0 {
		t.Errorf("acme uses %+v, want %d integrations, 13 events of before and 1", usage, integrations)
	}
}

// again repeats the call that published the event 15 with a key: it is not published again.
// What was skipped is in the list.
func (u upgrade) again(t *testing.T, n *Node) {
	t.Helper()
	body := `{"events": [{"id": "6f1c4f0e-0000-4000-8000-000000000015", "name": "order.created", "payload": {"n": 15}}]}`
	_, err := publish.New(n.log, n.config.Settings).Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte(body), Key: "order-15"})
	if err != nil {
		t.Error(err)
	}
	in, err := n.life.Get(t.Context(), "acme", "skipping")
	if err != nil {
		t.Fatal(err)
	}
	list, err := n.store.OldestRejected(t.Context(), store.HistoryOf(in), 100)
	if err != nil || len(list) != 1 || list[0].EventID != "6f1c4f0e-0000-4000-8000-000000000004" || list[0].Reason != integration.ReasonSkipped {
		t.Errorf("of skipping are rejected %v, %v, want the event 4", list, err)
	}
}
