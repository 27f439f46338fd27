package kms_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/kms"
)

// counting is the service without HTTP: it counts its calls, which wait for gate unless
// it is nil.
type counting struct {
	calls atomic.Int64
	gate  chan struct{}
}

func (c *counting) wait(ctx context.Context) (call int64, err error) {
	if c.gate == nil {
		return c.calls.Add(1), nil
	}
	select {
	case <-c.gate:
		return c.calls.Add(1), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (c *counting) GenerateDataKey(ctx context.Context, in *awskms.GenerateDataKeyInput, _ ...func(*awskms.Options)) (*awskms.GenerateDataKeyOutput, error) {
	call, err := c.wait(ctx)
	if err != nil {
		return nil, err
	}
	wrapped := fmt.Appendf(make([]byte, 176), "%08d", call)
	clear := sha256.Sum256(wrapped)
	return &awskms.GenerateDataKeyOutput{CiphertextBlob: wrapped, Plaintext: clear[:], KeyId: in.KeyId}, nil
}

func (c *counting) Decrypt(ctx context.Context, in *awskms.DecryptInput, _ ...func(*awskms.Options)) (*awskms.DecryptOutput, error) {
	if _, err := c.wait(ctx); err != nil {
		return nil, err
	}
	clear := sha256.Sum256(in.CiphertextBlob)
	return &awskms.DecryptOutput{Plaintext: clear[:], KeyId: in.KeyId}, nil
}

// hook is the owner of the i-th secret.
func hook(i int) secret.Owner {
	return secret.Owner{Tenant: fmt.Sprintf("tenant-%d", i%7), Integration: fmt.Sprintf("hook-%d", i), Field: "api_key"}
}

func sealedFor(t *testing.T, s *kms.Sealer, o secret.Owner) secret.Sealed {
	t.Helper()
	sealed, err := s.Seal(t.Context(), o, secret.NewString(clear))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func opens(t *testing.T, s *kms.Sealer, o secret.Owner, sealed secret.Sealed) {
	t.Helper()
	if got, err := s.Open(context.Background(), o, sealed); err != nil || got.Reveal() != clear {
		t.Errorf("opened %q, %v", got.Reveal(), err)
	}
}

// shelf is a kms.Shelf in memory.
type shelf struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func newShelf() *shelf { return &shelf{kept: map[string][]byte{}} }

func (s *shelf) DataKey(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[name], nil
}

func (s *shelf) KeepDataKey(_ context.Context, name string, wrapped []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[name] == nil {
		s.kept[name] = wrapped
	}
	return s.kept[name], nil
}

// Each process makes one call for all that it seals and one for all that it opens,
// however many integrations there are, in whichever process each was registered, and
// however often each is opened.
func TestCallsGrowWithProcessesNotWithSecrets(t *testing.T) {
	const secrets, sealing, opening, rounds = 500, 20, 3, 4
	c, all := &counting{}, newShelf()
	var processes []*kms.Sealer
	for range sealing {
		processes = append(processes, kms.New(c, key, all, time.Now))
	}
	sealed := make([]secret.Sealed, secrets)
	for i := range sealed {
		s := processes[i%sealing]
		sealed[i] = sealedFor(t, s, hook(i))
		opens(t, s, hook(i), sealed[i])
	}
	if n := c.calls.Load(); n != sealing {
		t.Errorf("%d calls to seal %d secrets in %d processes", n, secrets, sealing)
	}
	for range opening {
		other := kms.New(c, key, all, time.Now)
		var users sync.WaitGroup
		for range rounds {
			users.Go(func() {
				for i := range sealed {
					opens(t, other, hook(i), sealed[i])
				}
			})
		}
		users.Wait()
	}
	if n := c.calls.Load(); n != sealing+opening {
		t.Errorf("%d calls to open them in %d processes", n-sealing, opening)
	}
}

// Processes that seal first at the same time seal with the data key of one of them.
func TestTheFirstDataKeyOfAMonthIsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, all := &counting{gate: make(chan struct{})}, newShelf()
		wrapped := make([]string, 5)
		var processes sync.WaitGroup
		for i := range wrapped {
			processes.Go(func() {
				sealed, err := kms.New(c, key, all, time.Now).Seal(t.Context(), owner, secret.NewString(clear))
				if err != nil {
					t.Error(err)
					return
				}
				wrapped[i] = string(sealed.Ciphertext[:untilText])
			})
		}
		synctest.Wait() // each makes one
		close(c.gate)
		processes.Wait()
		for _, w := range wrapped {
			if w != wrapped[0] {
				t.Fatal("two processes sealed with two data keys")
			}
		}
	})
}

// The next month has another data key.
func TestEachMonthHasItsDataKey(t *testing.T) {
	s, service, _ := setup(t)
	first := seal(t, s, clear)
	service.pass(32 * 24 * time.Hour)
	if next := seal(t, s, clear); string(next.Ciphertext[:untilText]) == string(first.Ciphertext[:untilText]) {
		t.Error("the next month seals with the data key of the one before")
	}
	opens(t, s, owner, first)
}

// A shelf that has a data key of another key, as after a restore, does not keep secrets
// from being set again.
func TestADataKeyOfAnotherKeyIsPassedOver(t *testing.T) {
	_, service, client := setup(t)
	all := newShelf()
	seal(t, kms.New(client, key+"9", all, service.now), clear)
	s := kms.New(client, key, all, service.now)
	opens(t, s, owner, seal(t, s, clear))
}

// brokenShelf is a table that is unavailable.
type brokenShelf struct{ *shelf }

func (brokenShelf) DataKey(context.Context, string) ([]byte, error) {
	return nil, problem.New(problem.Unavailable, "The service could not read the table. Try again in a moment.")
}

func TestAnUnavailableShelfSaysSo(t *testing.T) {
	s := kms.New(&counting{}, key, brokenShelf{}, time.Now)
	if _, err := s.Seal(t.Context(), owner, secret.NewString(clear)); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestADataKeySealsNoMoreThanItsLimit(t *testing.T) {
	c := &counting{}
	s := kms.New(c, key, newShelf(), time.Now)
	var all sync.WaitGroup
	for worker := range 5 {
		all.Go(func() {
			for i := range kms.MaxSeals / 2 {
				if _, err := s.Seal(context.Background(), hook(worker*kms.MaxSeals+i), secret.NewString(clear)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := c.calls.Load(); n != 3 {
		t.Errorf("%d data keys for %d secrets, want 3", n, 5*kms.MaxSeals/2)
	}
}

// A key that is disabled, or that a function may not use any more, seals and opens
// nothing once its data keys are too old; nor if the clock was set back.
func TestADeniedKeyIsOfNoUseAfterTheAgeLimit(t *testing.T) {
	for _, passes := range []time.Duration{kms.MaxAge, -time.Second} {
		s, service, _ := setup(t)
		sealed := seal(t, s, clear)
		service.fails = answer(400, "AccessDeniedException")
		service.pass(max(0, passes-time.Nanosecond))
		opens(t, s, owner, sealed)
		seal(t, s, clear)
		service.pass(passes - max(0, passes-time.Nanosecond))
		_, err := s.Open(t.Context(), owner, sealed)
		refused(t, err, problem.Internal, "not allowed to use the secrets key")
		_, err = s.Seal(t.Context(), owner, secret.NewString(clear))
		refused(t, err, problem.Internal, "not allowed to use the secrets key")
		service.fails = nil
		opens(t, s, owner, sealed)
	}
}

// Those that are too old are forgotten when the next one comes.
func TestDataKeysInTheClearAreForgotten(t *testing.T) {
	s, service, _ := setup(t)
	seal(t, s, clear)
	service.pass(kms.MaxAge)
	sealed := seal(t, s, clear)
	if n, _ := s.InClear(); n != 1 {
		t.Errorf("%d data keys are in the clear, want the new one", n)
	}
	opens(t, s, owner, sealed)
}

func TestDataKeysInTheClearAreBounded(t *testing.T) {
	c := &counting{}
	s := kms.New(c, key, newShelf(), time.Now)
	var last secret.Sealed
	for range 4000 { // each by a process of its own
		last = sealedFor(t, kms.New(c, key, newShelf(), time.Now), owner)
		opens(t, s, owner, last)
	}
	keys, bytes := s.InClear()
	if bytes > kms.OpenedBytes || keys < 2500 || keys > 3500 {
		t.Errorf("%d data keys of %d bytes are in the clear; want them up to %d bytes", keys, bytes, kms.OpenedBytes)
	}
	before := c.calls.Load()
	if opens(t, s, owner, last); c.calls.Load() != before {
		t.Error("the one used last was given up")
	}
}

// Everyone who needs the same data key waits for one call. A caller that gives up does
// not end it for the others.
func TestOneCallForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{}
		sealed := sealedFor(t, kms.New(c, key, newShelf(), time.Now), owner)
		c.gate = make(chan struct{})
		s := kms.New(c, key, newShelf(), time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := s.Open(ctx, owner, sealed)
			gaveUp <- err
		}()
		synctest.Wait() // it makes the call
		var others sync.WaitGroup
		for range 9 {
			others.Go(func() { opens(t, s, owner, sealed) })
		}
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) || problem.CodeOf(err) != problem.Unavailable {
			t.Errorf("the caller that gave up got %v", err)
		}
		close(c.gate)
		others.Wait()
		if n := c.calls.Load(); n != 2 {
			t.Errorf("%d calls, want one to seal and one to open", n)
		}
	})
}
