package local_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
)

// What a release before origins were bound wrote: a key file, and what it sealed for
// owner with it.
const (
	keyFileOfBefore = `{"keyset":{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey",` +
		`"value":"GiBub3QgYSBzZWNyZXQ6IGEga2V5IGZvciB0ZXN0cy4uLg==","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]},` +
		`"sha256":"f5bc4673f81e029391639e8df8d96db2c05335073877a859846c13de5906ec21"}` + "\n"
	sealedBefore = "AQAAAAF0N1A69afGUJvZn5w6FFxTX5fhuhZGXxPzJI6bXRfr8SaFn3i+yxt46mG1C9Q+"
	clearBefore  = "key-of-before-0001"
)

func at(origin string) secret.Owner {
	o := owner
	o.Origin = origin
	return o
}

// A ciphertext opens for its origin alone, whatever the record around it says.
func TestSealedOpensForItsOriginAlone(t *testing.T) {
	s, _ := open(t)
	sealed, err := s.Seal(t.Context(), at("https://a.test:443"), secret.NewString(clear))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open(t.Context(), at("https://a.test:443"), sealed); err != nil || got.Reveal() != clear {
		t.Fatalf("opened %q, %v", got.Reveal(), err)
	}
	unbound := secret.Sealed{Ciphertext: sealed.Ciphertext, Mask: sealed.Mask}
	for _, origin := range []string{"", "https://b.test:443", "http://a.test:80"} {
		_ = refused(t, s, at(origin), sealed)
		_ = refused(t, s, at(origin), unbound)
	}
	_ = refused(t, s, at("https://a.test:443"), unbound)
}

func TestSealedBeforeOriginsStillOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), local.Name)
	if err := os.WriteFile(path, []byte(keyFileOfBefore), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := local.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ciphertext, err := base64.StdEncoding.DecodeString(sealedBefore)
	if err != nil {
		t.Fatal(err)
	}
	sealed := secret.Sealed{Ciphertext: ciphertext}
	for _, origin := range []string{"", "https://a.test:443"} {
		if got, err := s.Open(t.Context(), at(origin), sealed); err != nil || got.Reveal() != clearBefore {
			t.Errorf("at %q: opened %q, %v", origin, got.Reveal(), err)
		}
	}
	sealed.Bound = true // a record that was tampered with
	_ = refused(t, s, at("https://a.test:443"), sealed)
	again, err := s.Seal(t.Context(), at("https://a.test:443"), secret.NewString(clearBefore))
	if err != nil || !again.Bound || bytes.Equal(again.Ciphertext, ciphertext) {
		t.Errorf("sealed again: %+v, %v, want it bound", again, err)
	}
}
