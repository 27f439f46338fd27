package scenario

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Secrets are what a service was given and must not log.
type Secrets struct {
	mu  sync.Mutex
	all []string
}

// Add notes a secret.
func (s *Secrets) Add(clear string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, clear)
}

// AbsentFrom fails the test if a secret is in the text of a log.
func (s *Secrets) AbsentFrom(t *testing.T, text string) {
	t.Helper()
	if len(s.all) < 2 || !strings.Contains(text, "delivery attempted") {
		t.Errorf("there are %d secrets and %d bytes of log; the search proves nothing", len(s.all), len(text))
	}
	for _, clear := range s.all {
		if i := strings.Index(text, clear); i >= 0 {
			t.Errorf("a secret is in the log: …%s…", text[max(0, i-200):min(len(text), i+200)])
		}
	}
}

// NewBucketeer serves S3 on loopback, for one access key.
func NewBucketeer(t *testing.T) (Bucketeer, *s3mem.Backend) {
	backend := s3mem.New()
	b := Bucketeer{Region: "eu-central-1", AccessKeyID: "AKIAEXAMPLE0001", SecretAccessKey: "bucket-secret-0123456789abcdefghij"}
	store := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "Credential="+b.AccessKeyID+"/") {
			store.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>InvalidAccessKeyId</Code><Message>There is no such key.</Message></Error>")
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	b.Endpoint = server.URL
	return b, backend
}
