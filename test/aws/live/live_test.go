package live

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/httpfront"
	"github.com/sluicehq/sluice/test/aws/stack"
	"github.com/sluicehq/sluice/test/scenario"
)

// waitTimeout limits every wait. Only a failure takes that long.
const waitTimeout = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// atOnce is the number of parallel scenarios. They wait more than they compute, but not the
// emulators, which are one process: with many more on a busy machine their responses exceed
// the limits of the functions, which then respond 503.
const atOnce = "4"

func testMain(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	defer stack.RemoveBuilt()
	return emulators.Run(m)
}

// TestDeployment plays the scenarios against the deployment at SLUICE_TEST_URL.
func TestDeployment(t *testing.T) {
	at := os.Getenv("SLUICE_TEST_URL")
	if at == "" {
		t.Skip("no deployment: set SLUICE_TEST_URL to the URL of its API, and the other variables listed in docs/testing.md")
	}
	in := settings.Default()
	if err := settings.LoadEnv(in.Table(), os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	tokens, err := tokens(t.Context(), in.TenantClaim)
	if err != nil {
		t.Fatal(err)
	}
	s3, err := required("SLUICE_TEST_S3_ENDPOINT", "SLUICE_TEST_S3_REGION", "SLUICE_TEST_S3_ACCESS_KEY_ID", "SLUICE_TEST_S3_SECRET_ACCESS_KEY")
	if err != nil {
		t.Fatal(err)
	}
	scenario.Run(t, scenario.Env{
		URL: strings.TrimSuffix(at, "/"), Settings: in, Gateway: true, Timeout: waitTimeout,
		Token: func(tenant string, scopes ...string) string {
			text, err := tokens(tenant, scopes...)
			if err != nil {
				t.Error(err)
			}
			return text
		},
		S3:          scenario.Bucketeer{Endpoint: s3[0], Region: s3[1], AccessKeyID: s3[2], SecretAccessKey: s3[3]},
		ReceiverURL: tunnel(t),
	})
}

// tunnel starts the local end of the tunnel to the receivers, if there is one.
func tunnel(t *testing.T) func(string) string {
	public := os.Getenv("SLUICE_TEST_RECEIVER_URL")
	if public == "" {
		return nil
	}
	listen, err := required("SLUICE_TEST_RECEIVER_LISTEN")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", listen[0])
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: receivers(), ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(server.Close)
	return func(local string) string {
		at, err := publicURL(public, local)
		if err != nil {
			t.Error(err)
		}
		return at
	}
}

// fast has settings that make waits short, similar to those of TestScenarios in
// test/aws.
var fast = map[string]string{
	"SLUICE_RETRY_MIN": "50ms", "SLUICE_RETRY_MAX": "500ms", "SLUICE_WEBHOOK_TIMEOUT": "2s",
	"SLUICE_FOLLOW_BUDGET": "1s", "SLUICE_S3_FILE_INTERVAL": "1s", "SLUICE_S3_FILE_BYTES": "64KiB",
	"SLUICE_SEEK_MARGIN": "1s",
}

// TestEndpoint plays the scenarios against functions on this machine that use
// the AWS services at SLUICE_TEST_ENDPOINT.
func TestEndpoint(t *testing.T) {
	endpoint := os.Getenv("SLUICE_TEST_ENDPOINT")
	if endpoint == "" {
		t.Skip("no endpoint of AWS services: run 'make test-stack ENDPOINT=http://127.0.0.1:4566'")
	}
	s := stack.Deploy(t, stack.Options{Settings: fast, Endpoint: endpoint})
	in := settings.Default()
	err := settings.LoadEnv(in.Table(), func(name string) (string, bool) {
		value, ok := s.Env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	bucketeer, _ := scenario.NewBucketeer(t)
	scenario.Run(t, scenario.Env{
		URL: s.URL, Settings: in, Gateway: true, Timeout: waitTimeout, Token: s.Token,
		S3: bucketeer,
		Restart: func() {
			s.Restart()
			s.KeepSweeping(t)
		},
	})
}

// The tunnel forwards to each receiver by port and preserves aborted connections.
func TestTunnel(t *testing.T) {
	got := ""
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.RequestURI()
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(receiver.Close)
	end := httptest.NewServer(receivers())
	t.Cleanup(end.Close)
	base, err := publicURL(end.URL+"/", receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"": "/", "/hook?a=b": "/hook?a=b"} {
		res, err := post(t, base+path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusAccepted || got != want {
			t.Errorf("%q: got %d by way of %s, want %s", path, res.StatusCode, got, want)
		}
	}
	if res, err := post(t, base+"/abort"); err == nil {
		_ = res.Body.Close()
		t.Errorf("a receiver that disconnects gave status %d", res.StatusCode)
	}
}

func post(t *testing.T, to string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	return http.DefaultClient.Do(req)
}

// An authorizer accepts tokens signed by a key, and a token command gets the tenant
// and the scopes.
func TestTokens(t *testing.T) {
	key, jwks := newKey(t)
	public, err := jwks.Keys[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fromKey("https://id.example.com/", "sluice", "org", public); err == nil {
		t.Error("a public key signs tokens")
	}
	issue, err := fromKey("https://id.example.com/", "sluice", "org", key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := issue("acme", "integrations:read")
	if err != nil {
		t.Fatal(err)
	}
	api, err := httpfront.New(httpfront.Options{
		Invoker: answers{},
		JWT:     &httpfront.Authorizer{Issuer: "https://id.example.com/", Audience: []string{"sluice"}, Keys: jwks},
	})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	req.Header.Set("Authorization", "Bearer "+text)
	rec := httptest.NewRecorder()
	if api.ServeHTTP(rec, req); rec.Code != http.StatusOK {
		t.Errorf("the gateway responds %d %s to a token", rec.Code, rec.Body)
	}
	said, err := fromCommand(t.Context(), `echo "$1/$2"`)("acme", "a:b", "c:d")
	if err != nil || said != "acme/a:b c:d" {
		t.Errorf("the command got %q, %v", said, err)
	}
}

// answers is a function that is reached only with valid tokens.
type answers struct{}

func (answers) Invoke(context.Context, string, []byte) ([]byte, string, error) {
	return []byte(`{"statusCode":200}`), "", nil
}

func newKey(t *testing.T) ([]byte, jose.JSONWebKeySet) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: "k1", Algorithm: string(jose.RS256), Use: "sig"}
	text, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}
}
