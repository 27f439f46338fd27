package kms

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/sync/singleflight"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/lru"
)

const (
	// maxAge is how long a data key is used in the clear before the service is asked
	// again, which may refuse.
	maxAge = time.Hour
	// maxSeals is how many secrets a process seals with one data key, so that it
	// opens some of them and not all. AES-GCM with random nonces would allow 2^32.
	maxSeals = 1000
	// openedBytes bounds the memory for data keys in the clear: some 3,000.
	openedBytes = 4 << 20
	// keyBytes is about what one takes, besides its encrypted form.
	keyBytes = 1 << 10
)

// purpose is the encryption context of every data key. Those stored depend on it, and
// so do the permissions in template.yaml: do not change it.
var purpose = map[string]string{"sluice": "secrets"}

// Shelf keeps encrypted data keys for all processes: store/dynamo.Store. Its errors are
// of package problem.
type Shelf interface {
	// DataKey returns the data key of a name; nil if there is none.
	DataKey(ctx context.Context, name string) ([]byte, error)
	// KeepDataKey keeps a data key unless its name has one, and returns the one that the
	// name has.
	KeepDataKey(ctx context.Context, name string, wrapped []byte) ([]byte, error)
}

// dataKey is a data key in the clear.
type dataKey struct {
	wrapped []byte // as the service encrypted it
	aead    cipher.AEAD
	since   time.Time // when the service gave it to this process
}

// dataKeys are those that this process may use without asking the service. It is safe
// for concurrent use.
type dataKeys struct {
	client Client
	key    string
	shelf  Shelf
	now    func() time.Time
	calls  singleflight.Group // one at a time for each data key

	mu      sync.Mutex
	sealing *dataKey // nil if it must be looked for
	month   string   // of its name
	number  int      // of its name: how many have sealed their number in the month
	seals   int      // of this process, with the one of that name
	opened  *lru.Cache[string, *dataKey]
}

func newDataKeys(client Client, key string, shelf Shelf, now func() time.Time) *dataKeys {
	size := func(k *dataKey) int { return keyBytes + 2*len(k.wrapped) }
	return &dataKeys{client: client, key: key, shelf: shelf, now: now, opened: lru.New[string](openedBytes, size)}
}

// forSealing returns a data key to seal one secret with.
func (ks *dataKeys) forSealing(ctx context.Context) (*dataKey, error) {
	for {
		if key := ks.sealsWith(); key != nil {
			return key, nil
		}
		if _, err := ks.once(ctx, "", ks.renew); err != nil {
			return nil, err
		}
	}
}

// sealsWith counts a use of the data key for sealing; nil if there is none to use.
func (ks *dataKeys) sealsWith() *dataKey {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if !ks.maySeal() {
		return nil
	}
	ks.seals++
	return ks.sealing
}

// maySeal reports whether there is a data key for sealing. ks.mu is held.
func (ks *dataKeys) maySeal() bool {
	return ks.sealing != nil && ks.seals < maxSeals && !ks.old(ks.sealing)
}

// forOpening returns the data key with the given encrypted form.
func (ks *dataKeys) forOpening(ctx context.Context, wrapped []byte) (*dataKey, error) {
	if key := ks.opensWith(wrapped); key != nil {
		return key, nil
	}
	return ks.once(ctx, string(wrapped), func(ctx context.Context) (*dataKey, error) {
		if key := ks.opensWith(wrapped); key != nil { // since this caller looked
			return key, nil
		}
		return ks.decrypt(ctx, wrapped)
	})
}

func (ks *dataKeys) opensWith(wrapped []byte) *dataKey {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	key, ok := ks.opened.Get(string(wrapped))
	if !ok || ks.old(key) {
		return nil
	}
	return key
}

// old reports whether the service must be asked again: also if the clock was set back.
func (ks *dataKeys) old(key *dataKey) bool {
	age := ks.now().Sub(key.since)
	return age < 0 || age >= maxAge
}

// once makes one call for all that want the same. It goes on for the others if ctx
// ends; the client has a timeout of its own.
func (ks *dataKeys) once(ctx context.Context, what string, call func(context.Context) (*dataKey, error)) (*dataKey, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	done := ks.calls.DoChan(what, func() (any, error) { return call(context.WithoutCancel(ctx)) })
	select {
	case result := <-done:
		key, _ := result.Val.(*dataKey)
		return key, result.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// renew finds the data key for sealing, unless someone has since the caller looked: that
// of all processes, or one that it makes for them.
func (ks *dataKeys) renew(ctx context.Context) (*dataKey, error) {
	key, name := ks.wanted()
	if key != nil {
		return key, nil
	}
	wrapped, err := ks.shelf.DataKey(ctx, name)
	if err != nil {
		return nil, err
	}
	if wrapped == nil {
		if key, err = ks.generate(ctx); err != nil {
			return nil, err
		}
		if wrapped, err = ks.shelf.KeepDataKey(ctx, name, key.wrapped); err != nil {
			return nil, err
		}
	}
	key, err = ks.forOpening(ctx, wrapped)
	if code := awserror.Code(err); code == "IncorrectKeyException" || code == "InvalidCiphertextException" {
		key, err = ks.generate(ctx) // of a key of before, or damaged: it seals with one of its own
	}
	if err != nil {
		return nil, err
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.sealing = key
	return key, nil
}

// wanted returns the data key for sealing, or the name of the one to find.
func (ks *dataKeys) wanted() (key *dataKey, name string) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if ks.maySeal() {
		return ks.sealing, ""
	}
	ks.sealing = nil
	switch month := ks.now().UTC().Format("2006-01"); {
	case month != ks.month:
		ks.month, ks.number, ks.seals = month, 0, 0
	case ks.seals >= maxSeals:
		ks.number, ks.seals = ks.number+1, 0
	}
	return nil, ks.month + "-" + strconv.Itoa(ks.number)
}

// generate makes a data key.
func (ks *dataKeys) generate(ctx context.Context) (*dataKey, error) {
	asked := ks.now()
	out, err := ks.client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: aws.String(ks.key), KeySpec: types.DataKeySpecAes256, EncryptionContext: maps.Clone(purpose),
	})
	if err != nil {
		return nil, err
	}
	return ks.add(out.CiphertextBlob, out.Plaintext, asked)
}

// decrypt asks the service for a data key in the clear.
func (ks *dataKeys) decrypt(ctx context.Context, wrapped []byte) (*dataKey, error) {
	asked := ks.now()
	// The ciphertext also names a key. Giving ours rejects a data key that an attacker
	// wrote to the table, encrypted with a key of their own.
	out, err := ks.client.Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(ks.key), CiphertextBlob: wrapped, EncryptionContext: maps.Clone(purpose)})
	if err != nil {
		return nil, err
	}
	return ks.add(wrapped, out.Plaintext, asked)
}

// add keeps a data key, and forgets those that are too old to be used.
func (ks *dataKeys) add(wrapped, clear []byte, asked time.Time) (*dataKey, error) {
	defer erase(clear) // the AEAD has what it needs
	block, err := aes.NewCipher(clear)
	if err != nil {
		return nil, err // it has the key's length, and nothing else of it
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	key := &dataKey{wrapped: wrapped, aead: aead, since: asked}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	for at, other := range ks.opened.All() {
		if ks.old(other) {
			ks.opened.Take(at)
		}
	}
	ks.opened.Put(string(wrapped), key)
	return key, nil
}

func erase(clear []byte) {
	for i := range clear {
		clear[i] = 0
	}
}
