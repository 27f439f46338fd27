package egress

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/settings"
)

func TestCAFileThatIsNotOne(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	good := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	damaged := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("a key")})
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":         {nil, "has no certificate"},
		"a text":        {[]byte("-----BEGIN"), "has no certificate"},
		"damaged":       {slices.Concat(good, damaged), "has a damaged certificate as its block 2"},
		"a private key": {slices.Concat(good, key), "has a PRIVATE KEY as its block 2"},
		"too large":     {bytes.Repeat([]byte("# comment\n"), 500_000), "larger than 4194304 bytes"},
		"two":           {slices.Concat(good, []byte("# a comment\n"), good), ""},
	} {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(netguard.New(netguard.Public, nil), &settings.Settings{CAFile: path})
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), "SLUICE_CA_FILE is ") || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	_, err := Open(netguard.New(netguard.Public, nil), &settings.Settings{CAFile: "/no/such/file"})
	if err == nil || !strings.Contains(err.Error(), `SLUICE_CA_FILE is "/no/such/file", which cannot be read`) {
		t.Errorf("a missing file: %v", err)
	}
}
