// Package local seals secrets with a key in a local file: AES-256-GCM by Tink,
// bound to tenant, integration, field and origin. Anyone who can read the file can read
// the secrets, and without the file they are lost: back it up, separately from the
// database.
package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/sluicehq/sluice/internal/keyfile"
	"github.com/sluicehq/sluice/internal/secret"
)

// Name is the name of the key file in a data directory.
const Name = "secrets.key"

// Sealer seals and opens with the key of one file. It is safe for concurrent use,
// does no I/O once opened, and ignores contexts.
type Sealer struct {
	path string
	aead tink.AEAD
}

var _ secret.Sealer = (*Sealer)(nil)

// Open reads the key file at path, which must exist. Use it for a database that
// already contains sealed secrets. For a missing file the error satisfies
// errors.Is(err, fs.ErrNotExist).
func Open(path string) (*Sealer, error) {
	content, err := keyfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; the integrations' stored secrets were sealed with it and cannot be read without it: "+
			"restore it from a backup, or start with an empty data directory and register the integrations again", err)
	}
	if err != nil {
		return nil, err
	}
	return parse(path, content)
}

// OpenOrCreate is Open, but creates a missing file with a new key. Use it only
// while no secret is stored: a new key opens no earlier ciphertext.
func OpenOrCreate(path string) (*Sealer, error) {
	content, err := keyfile.ReadOrCreate(path, fresh)
	if err != nil {
		return nil, err
	}
	return parse(path, content)
}

// keyFile is the content of the file. The checksum detects a damaged key when the
// file is opened, instead of when the first secret is.
type keyFile struct {
	Keyset jsontext.Value `json:"keyset"`
	SHA256 string         `json:"sha256"`
}

func fresh() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return nil, err
	}
	set := jsontext.Value(b.Bytes())
	if err := set.Compact(); err != nil {
		return nil, err
	}
	content, err := json.Marshal(keyFile{Keyset: set, SHA256: checksum(set)})
	return append(content, '\n'), err
}

func checksum(set []byte) string {
	sum := sha256.Sum256(set)
	return hex.EncodeToString(sum[:])
}

// parse never includes a cause in its error: the cause might quote the key.
func parse(path string, content []byte) (*Sealer, error) {
	damaged := func(how string) error {
		return fmt.Errorf("the key file %s is damaged: it %s. The stored secrets cannot be read without it. "+
			"Restore it from a backup. If there is none, delete it and set the secrets of all integrations again", path, how)
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, damaged("is empty")
	}
	var file keyFile
	if err := json.Unmarshal(content, &file, json.RejectUnknownMembers(true)); err != nil {
		return nil, damaged("is not valid JSON of a key file")
	}
	if checksum(file.Keyset) != file.SHA256 {
		return nil, damaged("does not match its checksum")
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(file.Keyset)))
	if err != nil {
		return nil, damaged("contains no usable key")
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, damaged("contains no key for sealing")
	}
	return &Sealer{path: path, aead: primitive}, nil
}

// Seal encrypts clear for o. The zero String becomes the zero Sealed.
func (s *Sealer) Seal(_ context.Context, o secret.Owner, clear secret.String) (secret.Sealed, error) {
	if clear.IsZero() {
		return secret.Sealed{}, nil
	}
	ciphertext, err := s.aead.Encrypt([]byte(clear.Reveal()), o.AssociatedData())
	if err != nil {
		return secret.Sealed{}, fmt.Errorf("cannot seal the %s of integration %s: %w", o.Field, o.Integration, err)
	}
	return secret.Sealed{Ciphertext: ciphertext, Mask: clear.Mask(), Bound: o.Origin != ""}, nil
}

// Outdated implements secret.Sealer.
func (s *Sealer) Outdated(o secret.Owner, sealed secret.Sealed) bool {
	return !sealed.IsZero() && o.Sealing(sealed) != o
}

// Open decrypts what was sealed for o. The zero Sealed becomes the zero String.
func (s *Sealer) Open(_ context.Context, o secret.Owner, sealed secret.Sealed) (secret.String, error) {
	if sealed.IsZero() {
		return secret.String{}, nil
	}
	clear, err := s.aead.Decrypt(sealed.Ciphertext, o.Sealing(sealed).AssociatedData())
	if err != nil {
		return secret.String{}, fmt.Errorf("the stored %s of integration %s cannot be opened with the key file %s: it is damaged "+
			"or was sealed with another key file or for another origin; restore that file, or set the secret again", o.Field, o.Integration, s.path)
	}
	return secret.NewString(string(clear)), nil
}
