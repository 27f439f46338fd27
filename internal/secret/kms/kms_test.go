package kms_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/kms"
)

const (
	clear = "sk_live_51H8x0_the_key"
	key   = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"
)

var owner = secret.Owner{Tenant: "acme", Integration: "orders", Field: "api_key"}

// service is a fake of the Key Management Service. It keeps what it encrypts, by
// ciphertext.
type service struct {
	mu     sync.Mutex
	sealed map[string]request
	clock  time.Time                   // of the process that calls it
	fails  func(w http.ResponseWriter) // instead of answering, unless nil
	waits  chan struct{}               // an answer waits until it is closed, unless nil
	calls  atomic.Int32                // a call without an answer may still end while it is repeated
}

func (s *service) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *service) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

type request struct {
	KeyID                     string `json:"KeyId"`
	KeySpec                   string
	Plaintext, CiphertextBlob string
	EncryptionContext         map[string]string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if s.waits != nil {
		<-s.waits
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if s.fails != nil {
		s.fails(w)
		return
	}
	var in request
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		answer(http.StatusBadRequest, "ValidationException")(w)
		return
	}
	switch r.Header.Get("X-Amz-Target") {
	case "TrentService.Encrypt":
		if text, err := base64.StdEncoding.DecodeString(in.Plaintext); err != nil || len(text) == 0 || len(text) > 4096 {
			answer(http.StatusBadRequest, "ValidationException")(w)
			return
		}
		in = s.seal(in)
		fmt.Fprintf(w, `{"CiphertextBlob":%q,"KeyId":%q}`, in.CiphertextBlob, in.KeyID)
	case "TrentService.GenerateDataKey":
		if in.KeySpec != "AES_256" {
			answer(http.StatusBadRequest, "ValidationException")(w)
			return
		}
		in.Plaintext = random(32)
		in = s.seal(in)
		fmt.Fprintf(w, `{"CiphertextBlob":%q,"Plaintext":%q,"KeyId":%q}`, in.CiphertextBlob, in.Plaintext, in.KeyID)
	case "TrentService.Decrypt":
		kept, ok := s.sealed[in.CiphertextBlob]
		switch {
		case !ok || !cmp.Equal(kept.EncryptionContext, in.EncryptionContext):
			answer(http.StatusBadRequest, "InvalidCiphertextException")(w)
		case in.KeyID != kept.KeyID:
			answer(http.StatusBadRequest, "IncorrectKeyException")(w)
		default:
			fmt.Fprintf(w, `{"Plaintext":%q,"KeyId":%q}`, kept.Plaintext, kept.KeyID)
		}
	default:
		answer(http.StatusBadRequest, "UnknownOperationException")(w)
	}
}

// seal keeps a request under a ciphertext, which begins as those of the service do.
func (s *service) seal(in request) request {
	in.CiphertextBlob = "AQID" + random(181) // 184 bytes
	s.sealed[in.CiphertextBlob] = in
	return in
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

func answer(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"message":"User arn:aws:sts::111122223333:assumed-role/x and key %s"}`, code, key)
	}
}

func setup(t *testing.T) (*kms.Sealer, *service, *awskms.Client) {
	t.Helper()
	s := &service{sealed: map[string]request{}, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client := awskms.New(awskms.Options{
		BaseEndpoint: aws.String(server.URL), Region: "eu-west-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	return kms.New(client, key, newShelf(), s.now), s, client
}

func seal(t *testing.T, s *kms.Sealer, text string) secret.Sealed {
	t.Helper()
	sealed, err := s.Seal(t.Context(), owner, secret.NewString(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealedOpens(t *testing.T) {
	s, service, _ := setup(t)
	for _, text := range []string{clear, "x", strings.Repeat("ü", 2048), strings.Repeat("x", 100_000)} {
		sealed := seal(t, s, text)
		if want := secret.NewString(text).Mask(); sealed.Mask != want {
			t.Errorf("Mask = %q, want %q", sealed.Mask, want)
		}
		got, err := s.Open(t.Context(), owner, sealed)
		if err != nil || got.Reveal() != text {
			t.Errorf("opened %q, %v", got.Reveal(), err)
		}
	}
	for _, in := range service.sealed {
		want := map[string]string{"sluice": "secrets"}
		if diff := cmp.Diff(want, in.EncryptionContext); diff != "" || in.KeyID != key {
			t.Errorf("sealed under %q for (-want +got):\n%s", in.KeyID, diff)
		}
	}
}

func TestNoSecretStaysNoSecret(t *testing.T) {
	s, service, _ := setup(t)
	sealed, err := s.Seal(t.Context(), owner, secret.String{})
	if err != nil || !sealed.IsZero() {
		t.Errorf("Seal = %v, %v", sealed, err)
	}
	got, err := s.Open(t.Context(), owner, secret.Sealed{})
	if err != nil || !got.IsZero() || service.calls.Load() > 0 {
		t.Errorf("Open = %v, %v, after %d calls", got, err, service.calls.Load())
	}
}

func TestSealedOpensForItsOwnerAlone(t *testing.T) {
	s, _, _ := setup(t)
	part := rapid.SampledFrom([]string{"", "acme", "orders", "api_key", "signing_secret", "acmeorders", "a", "https://a.test:443"})
	draw := rapid.Custom(func(t *rapid.T) secret.Owner {
		return secret.Owner{Tenant: part.Draw(t, "tenant"), Integration: part.Draw(t, "integration"), Field: part.Draw(t, "field"), Origin: part.Draw(t, "origin")}
	})
	rapid.Check(t, func(t *rapid.T) {
		of := draw.Draw(t, "sealed for")
		sealed, err := s.Seal(context.Background(), of, secret.NewString(clear))
		if err != nil {
			t.Fatal(err)
		}
		other := rapid.OneOf(rapid.Just(of), draw).Draw(t, "opened for")
		sealed.Bound = rapid.Bool().Draw(t, "bound, as the record says")
		got, err := s.Open(context.Background(), other, sealed)
		if (err == nil) != (other.Sealing(sealed) == of) || (err == nil) == got.IsZero() {
			t.Fatalf("sealed for %+v, opened for %+v: %q, %v", of, other, got.Reveal(), err)
		}
	})
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	s, service, client := setup(t)
	other := kms.New(client, key+"9", newShelf(), service.now)
	_, err := other.Open(t.Context(), owner, seal(t, s, clear))
	refused(t, err, problem.Internal, "sealed with another key")
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name    string
		fails   func(http.ResponseWriter)
		code    problem.Code
		message string // a part of it
	}{
		{"throttled", answer(400, "ThrottlingException"), problem.Unavailable, "Try again in a moment"},
		{"a fault", answer(500, "KMSInternalException"), problem.Unavailable, "Try again in a moment"},
		{"a fault without a body", func(w http.ResponseWriter) { w.WriteHeader(503) }, problem.Unavailable, "Try again in a moment"},
		{"a dependency", answer(500, "DependencyTimeoutException"), problem.Unavailable, "Try again in a moment"},
		{"key not at hand", answer(500, "KeyUnavailableException"), problem.Unavailable, "Try again in a moment"},
		{"no response", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, problem.Unavailable, "Try again in a moment"},
		{"denied", answer(400, "AccessDeniedException"), problem.Internal, "not allowed to use the secrets key"},
		{"disabled", answer(400, "DisabledException"), problem.Internal, "is disabled. Enable it"},
		{"to be deleted", answer(400, "KMSInvalidStateException"), problem.Internal, "cancel the deletion"},
		{"gone", answer(400, "NotFoundException"), problem.Internal, "does not exist"},
		{"damaged", answer(400, "InvalidCiphertextException"), problem.Internal, "Set it again"},
		{"another key", answer(400, "IncorrectKeyException"), problem.Internal, "sealed with another key"},
		{"a key for signing", answer(400, "InvalidKeyUsageException"), problem.Internal, "does not support symmetric encryption"},
		{"invalid", answer(400, "ValidationException"), problem.Internal, "could not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, service, _ := setup(t)
			sealed := seal(t, s, clear)
			service.pass(time.Hour) // or it would not ask
			service.fails = tt.fails
			_, err := s.Open(t.Context(), owner, sealed)
			refused(t, err, tt.code, tt.message)
			_, err = s.Seal(t.Context(), owner, secret.NewString(clear))
			refused(t, err, tt.code, tt.message)
		})
	}
}

func TestCancelledCallSaysSo(t *testing.T) {
	s, _, _ := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Seal(ctx, owner, secret.NewString(clear))
	refused(t, err, problem.Unavailable, "could not seal the api_key of integration orders")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// refused asserts the code and part of the message, that the error does not contain
// the secret, and that its message does not contain the key's ARN.
func refused(t *testing.T, err error, code problem.Code, message string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatalf("error %v", err)
	}
	if p.Code != code || !strings.Contains(p.Message, message) || !strings.Contains(p.Message, "the api_key of integration orders") && !strings.Contains(p.Message, "The api_key of integration orders") {
		t.Errorf("code %q, message %q; want %q, %q", p.Code, p.Message, code, message)
	}
	if strings.Contains(err.Error(), clear) || strings.Contains(p.Message, "arn:") || strings.Contains(p.Message, "1111") {
		t.Errorf("error %v", err)
	}
	if code == problem.Internal && p.Err != nil && awserror.Code(err) == "" {
		t.Errorf("error %v lacks its cause", err)
	}
}
