package local_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
)

const clear = "sk_live_51H8x0_the_key"

var owner = secret.Owner{Tenant: "acme", Integration: "orders", Field: "api_key"}

func open(t *testing.T) (*local.Sealer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), local.Name)
	s, err := local.OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	return s, path
}

func seal(t *testing.T, s *local.Sealer) secret.Sealed {
	t.Helper()
	sealed, err := s.Seal(t.Context(), owner, secret.NewString(clear))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealedOpensAfterARestart(t *testing.T) {
	first, path := open(t)
	sealed := seal(t, first)
	if bytes.Contains(sealed.Ciphertext, []byte(clear[:8])) {
		t.Error("the ciphertext holds clear text")
	}
	if want := secret.NewString(clear).Mask(); sealed.Mask != want {
		t.Errorf("Mask = %q, want %q", sealed.Mask, want)
	}
	if again := seal(t, first); bytes.Equal(again.Ciphertext, sealed.Ciphertext) {
		t.Error("the same secret sealed twice gives the same ciphertext")
	}
	for name, reopen := range map[string]func(string) (*local.Sealer, error){
		"Open": local.Open, "OpenOrCreate": local.OpenOrCreate,
	} {
		s, err := reopen(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := s.Open(t.Context(), owner, sealed)
		if err != nil || got.Reveal() != clear {
			t.Errorf("%s: opened %q, %v", name, got.Reveal(), err)
		}
	}
}

func TestNoSecretStaysNoSecret(t *testing.T) {
	s, _ := open(t)
	sealed, err := s.Seal(t.Context(), owner, secret.String{})
	if err != nil || !sealed.IsZero() {
		t.Errorf("Seal = %v, %v", sealed, err)
	}
	got, err := s.Open(t.Context(), owner, secret.Sealed{})
	if err != nil || !got.IsZero() {
		t.Errorf("Open = %v, %v", got, err)
	}
}

func TestSealedOpensForItsOwnerAlone(t *testing.T) {
	s, _ := open(t)
	sealed := seal(t, s)
	for _, other := range []secret.Owner{
		{},
		{Tenant: "acme2", Integration: "orders", Field: "api_key"},
		{Tenant: "acme", Integration: "order", Field: "api_key"},
		{Tenant: "acme", Integration: "orders", Field: "signing_secret"},
		{Tenant: "orders", Integration: "acme", Field: "api_key"},
		{Tenant: "acmeorders", Integration: "", Field: "api_key"},
		{Tenant: "acmeo", Integration: "rders", Field: "api_key"},
		{Tenant: "acme", Integration: "ordersapi", Field: "_key"},
		{Tenant: "acme\x06orders", Integration: "", Field: "api_key"},
		{Tenant: "acme", Integration: "orders", Field: "api_key\x00"},
	} {
		_ = refused(t, s, other, sealed)
	}
}

// No two owners share associated data, whatever bytes their parts have. What was sealed
// for no origin is opened for any.
func TestOwnersAreToldApart(t *testing.T) {
	s, _ := open(t)
	part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 'b', ':', '/', 0x80}), 0, 4)
	draw := func(t *rapid.T, name string) secret.Owner {
		return secret.Owner{
			Tenant:      string(part.Draw(t, name+" tenant")),
			Integration: string(part.Draw(t, name+" integration")),
			Field:       string(part.Draw(t, name+" field")),
			Origin:      string(part.Draw(t, name+" origin")),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		sealed, err := s.Seal(context.Background(), a, secret.NewString(clear))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Open(context.Background(), b, sealed)
		same := b
		if a.Origin == "" {
			same.Origin = ""
		}
		if (err == nil) != (a == same) {
			t.Fatalf("sealed for %q, opened for %q: %v", a, b, err)
		}
	})
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	s, _ := open(t)
	sealed := seal(t, s)
	for i := range sealed.Ciphertext {
		for _, bit := range []byte{0x01, 0x80, 0xff} {
			flipped := secret.Sealed{Ciphertext: bytes.Clone(sealed.Ciphertext), Mask: sealed.Mask}
			flipped.Ciphertext[i] ^= bit
			_ = refused(t, s, owner, flipped)
		}
		_ = refused(t, s, owner, secret.Sealed{Ciphertext: sealed.Ciphertext[:i]})
	}
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	a, _ := open(t)
	b, path := open(t)
	err := refused(t, b, owner, seal(t, a))
	if !strings.Contains(err.Error(), path) {
		t.Errorf("%v; want the name of the key file", err)
	}
}

// refused asserts that sealed cannot be opened, and that the error names its owner
// and contains no secret. An empty ciphertext is no secret, and opens as such.
func refused(t *testing.T, s *local.Sealer, o secret.Owner, sealed secret.Sealed) error {
	t.Helper()
	got, err := s.Open(t.Context(), o, sealed)
	if len(sealed.Ciphertext) == 0 {
		if err != nil || !got.IsZero() {
			t.Fatalf("no ciphertext opened as %q, %v", got.Reveal(), err)
		}
		return nil
	}
	if err == nil || !got.IsZero() {
		t.Fatalf("opened for %q: %q, %v", o, got.Reveal(), err)
	}
	if strings.Contains(err.Error(), clear) || !strings.Contains(err.Error(), o.Field) {
		t.Fatalf("error: %v", err)
	}
	return err
}

func TestOpenNeedsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), local.Name)
	_, err := local.Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("err = %v, want fs.ErrNotExist", err)
	}
	for _, want := range []string{path, "restore it from a backup", "cannot be read without it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open made the file: %v", err)
	}
}

func TestDamagedFileIsRefusedAndLeftAlone(t *testing.T) {
	_, path := open(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{
		"empty":         {},
		"blank":         []byte("\n \n"),
		"text":          []byte("not a key"),
		"other JSON":    []byte(`{"keys":[]}`),
		"no keyset":     []byte(`{"keyset":{},"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`),
		"half":          whole[:len(whole)/2],
		"one byte less": whole[:len(whole)-3],
		"twice":         append(bytes.Clone(whole), whole...),
		"zeros":         make([]byte, len(whole)),
	}
	for name, content := range damages {
		mustRefuse(t, name, content)
	}
}

// A flipped byte is either detected or harmless (the final newline as a space): it
// never results in a sealer with another key.
func TestEveryFlippedByteOfTheFileIsFound(t *testing.T) {
	s, path := open(t)
	sealed := seal(t, s)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refusals := 0
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x01
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := local.Open(path)
		if err != nil {
			refusals++
			continue
		}
		if got, err := s.Open(t.Context(), owner, sealed); err != nil || got.Reveal() != clear {
			t.Errorf("byte %d flipped: accepted, but it is another key (%v)", i, err)
		}
	}
	if refusals < len(whole)-2 {
		t.Errorf("%d of %d flips were refused", refusals, len(whole))
	}
}

func TestReadableByOthersIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	_, path := open(t)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, try := range []func(string) (*local.Sealer, error){local.Open, local.OpenOrCreate} {
		if _, err := try(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("err = %v; want a sentence with the chmod", err)
		}
	}
}

// mustRefuse asserts that a file with this content is rejected, that the error
// names it, says what to do and does not quote it, and that nothing on disk changes.
func mustRefuse(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), local.Name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, try := range []func(string) (*local.Sealer, error){local.Open, local.OpenOrCreate} {
		before := tree(t, filepath.Dir(path))
		_, err := try(path)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range []string{path, "cannot be read without it", "Restore it", "delete it"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", name, err, want)
			}
		}
		if strings.Contains(err.Error(), "keyset") || strings.Contains(err.Error(), "invalid") {
			t.Errorf("%s: the error quotes the file or a library: %v", name, err)
		}
		if diff := cmp.Diff(before, tree(t, filepath.Dir(path))); diff != "" {
			t.Errorf("%s: the directory changed (-before +after):\n%s", name, diff)
		}
	}
}

// tree hashes every file below dir.
func tree(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	hashes := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		hashes[path] = sha256.Sum256(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}
