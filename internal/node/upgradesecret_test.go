package node

import (
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret/local"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// What the release before, which bound no secret to an origin, wrote: its key file, and
// the API key of acme's integration stopped as it stored it.
const (
	keyFileOfBefore = `{"keyset":{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey",` +
		`"value":"GiBub3QgYSBzZWNyZXQ6IGEga2V5IGZvciB0ZXN0cy4uLg==","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]},` +
		`"sha256":"f5bc4673f81e029391639e8df8d96db2c05335073877a859846c13de5906ec21"}` + "\n"
	apiKeyOfBefore = `"api_key":{"ciphertext":"AQAAAAEVNgHfzUFQv+VqgD0+e+RZe7aTRXqMpA2/tsDmDZgZVneOzkRGRtHzkO4ymdGr","mask":"********0001"}`
)

// withSecretOfBefore adds the key file and the secret to a directory of before.
func withSecretOfBefore(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, local.Name), []byte(keyFileOfBefore), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, sqlitedb.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const which = " WHERE tenant = 'acme' AND id = 'stopped'"
	var data string
	if err := db.QueryRowContext(t.Context(), "SELECT data FROM integrations"+which).Scan(&data); err != nil {
		t.Fatal(err)
	}
	data = strings.Replace(data, `"webhook":{`, `"webhook":{`+apiKeyOfBefore+",", 1)
	if _, err := db.ExecContext(t.Context(), "UPDATE integrations SET data = ?"+which, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

// A secret that an earlier release sealed is still sent after an upgrade, and the next
// write binds it to its origin, so that it opens for no other from then on.
func TestAnUpgradeKeepsSecretsAndBindsThem(t *testing.T) {
	var mu sync.Mutex
	got := map[string]bool{} // values of the header Authorization
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/acme-stopped" {
			got[r.Header.Get("Authorization")] = true
		}
	}))
	t.Cleanup(receiver.Close)
	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", directoryOfBefore(t, 1, receiver.URL), true
	config.Lanes, config.Retention = 2, 100*365*24*time.Hour
	withSecretOfBefore(t, config.Data)
	n, err := Open(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer closeNode(t, n)
	if in, err := n.life.Get(t.Context(), "acme", "stopped"); err != nil || in.Webhook.APIKey.IsZero() || in.Webhook.APIKey.Bound {
		t.Fatalf("before the next write: %+v, %v, want a key that is not bound", in, err)
	}
	in, err := n.life.Start(t.Context(), "acme", "stopped")
	if err != nil || !in.Webhook.APIKey.Bound {
		t.Fatalf("after the start: %+v, %v, want a key that is bound", in, err)
	}
	until(t, "it is sent", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == 1 && got["Bearer key-of-before-0001"]
	})
	in.Webhook.URL = strings.Replace(receiver.URL, "127.0.0.1", "127.0.0.2", 1)
	if clear, err := n.life.Reveal(t.Context(), in); err != nil || clear.Unopened == nil || !clear.APIKey.IsZero() {
		t.Errorf("at another host: %v, %v, want a key that does not open", clear.Unopened, err)
	}
	if owner := in.SecretOwner(integration.FieldAPIKey); !strings.HasPrefix(owner.Origin, "http://127.0.0.2:") {
		t.Errorf("its owner is %+v", owner)
	}
}
