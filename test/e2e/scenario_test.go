package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/test/scenario"
)

// TestScenarios plays the scenarios of every shape against the binary. At the
// end no secret may be in anything it logged.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, lanes := range map[string]string{"one lane": "1", "four lanes": "4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"SLUICE_LANES": lanes}
			for k, v := range fast {
				env[k] = v
			}
			n := newNode(t, checked, env, "--dev")
			s := &secrets{}
			bucketeer, _ := newBucketeer(t)
			s.add(bucketeer.SecretAccessKey)
			scenario.Run(t, scenario.Env{
				URL:      n.url(),
				Settings: inForce(t, env),
				Token: func(tenant string, scopes ...string) string {
					token := n.token(tenant, scopes...)
					s.add(token)
					return token
				},
				Patience: patience,
				S3:       bucketeer,
				Secret:   s.add,
				Restart: func() {
					if lanes == "1" {
						n.kill()
					} else {
						n.end()
					}
					n.start()
				},
			})
			s.absentFrom(t, n.text(0))
			n.noErrors()
		})
	}
}

// inForce reads settings as the node does.
func inForce(t *testing.T, env map[string]string) settings.Settings {
	t.Helper()
	s := settings.Default()
	err := settings.LoadEnv(s.Table(), func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// secrets are what must not be logged.
type secrets struct {
	mu  sync.Mutex
	all []string
}

func (s *secrets) add(clear string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, clear)
}

func (s *secrets) absentFrom(t *testing.T, text string) {
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

// newBucketeer serves S3 on loopback, for one access key.
func newBucketeer(t *testing.T) (scenario.Bucketeer, *s3mem.Backend) {
	backend := s3mem.New()
	b := scenario.Bucketeer{Region: "eu-central-1", AccessKeyID: "AKIAEXAMPLE0001", SecretAccessKey: "bucket-secret-0123456789abcdefghij"}
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

// A request's id in an error answer is the one in the log line of the request.
func TestRequestID(t *testing.T) {
	t.Parallel()
	n := newNode(t, plain, fast, "--dev")
	c := newClient(n, "acme")
	ids := map[string]string{} // to the error code
	for _, call := range [][2]string{{"GET", eventstream + "/nobody"}, {"POST", eventstream}, {"PUT", "/api/v1/org/events"}, {"GET", "/nowhere"}} {
		e := c.call(t, call[0], call[1], "{}").problem(t)
		ids[e.RequestID] = e.Code
	}
	if len(ids) != 4 {
		t.Fatalf("the request ids are not of their own: %v", ids)
	}
	found := 0
	until(t, "each request has a line in the log", func() bool {
		found = 0
		for _, line := range n.lines(0) {
			id, _ := line["request_id"].(string)
			if code, ok := ids[id]; ok && line["msg"] == "request served" {
				found++
				if line["error_code"] != code || line["level"] != "INFO" || line["took_ms"] == nil {
					t.Errorf("the line of a request that failed with %s is %v", code, line)
				}
			}
		}
		return found == len(ids)
	})
}
