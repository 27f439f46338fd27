package s3export

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sort"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/sink/keepalive"
)

const (
	accessKey = "AKIATHEACCESSKEY0001"
	secretKey = "theSecretAccessKey0123456789012345678901"
	bucket    = "acme-events"
)

// noon is the time of every file.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

// vault is a secret.Sealer that binds a secret to its owner but does not encrypt.
type vault struct{}

func (vault) Seal(_ context.Context, o secret.Owner, text secret.String) (secret.Sealed, error) {
	return secret.Sealed{Ciphertext: []byte(o.Tenant + "/" + o.Integration + "/" + o.Field + ":" + text.Reveal())}, nil
}

func (vault) Open(_ context.Context, o secret.Owner, s secret.Sealed) (secret.String, error) {
	text, ok := bytes.CutPrefix(s.Ciphertext, []byte(o.Tenant+"/"+o.Integration+"/"+o.Field+":"))
	if !ok {
		return secret.String{}, errors.New("the key does not fit")
	}
	return secret.NewString(string(text)), nil
}

func (vault) Outdated(secret.Owner, secret.Sealed) bool { return false }

func exportTo(endpoint string) *integration.Integration {
	in := &integration.Integration{Tenant: "acme", ID: "files", S3: &integration.S3{
		AccessKeyID: accessKey, Region: "eu-central-1", Bucket: bucket, KeyPrefix: "in/events", Endpoint: endpoint,
	}}
	in.S3.SecretAccessKey, _ = vault{}.Seal(context.Background(),
		secret.Owner{Tenant: "acme", Integration: "files", Field: integration.FieldSecretAccessKey}, secret.NewString(secretKey))
	return in
}

func newClient(t testing.TB) *Client {
	return newClientBehind(t, netguard.New(netguard.Loopback, nil))
}

func newClientBehind(t testing.TB, g *netguard.Guard) *Client {
	t.Helper()
	return New(Options{Route: egress.Route{Guard: g}, Connections: keepalive.NewConnections(1000)})
}

func open(t testing.TB, in *integration.Integration) *Exporter {
	t.Helper()
	x, err := newClient(t).Open(context.Background(), in, vault{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// serve returns the URL of h on loopback.
func serve(t testing.TB, h http.Handler) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// store is an S3 server with the bucket, and a client that bypasses the exporter.
type store struct {
	handler http.Handler
	backend gofakes3.Backend
}

func newStore(t testing.TB) *store {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	return &store{gofakes3.New(backend).Server(), backend}
}

// files returns the content of the bucket, and its keys in order.
func (s *store) files(t testing.TB) (keys []string, content map[string]string) {
	t.Helper()
	list, err := s.backend.ListBucket(bucket, nil, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	content = map[string]string{}
	for _, c := range list.Contents {
		o, err := s.backend.GetObject(bucket, c.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(o.Contents)
		if err != nil {
			t.Fatal(err)
		}
		keys, content[c.Key] = append(keys, c.Key), string(b)
	}
	sort.Strings(keys)
	return keys, content
}

// uploads counts the multipart uploads that are neither completed nor aborted.
func (s *store) uploads(t testing.TB) int {
	t.Helper()
	name := bucket
	out, err := open(t, exportTo(serve(t, s.handler))).s3.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &name})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "NoSuchUpload" {
		return 0 // how this server responds before the first upload
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

func (s *store) mustBeEmpty(t testing.TB) {
	t.Helper()
	if keys, _ := s.files(t); len(keys) > 0 {
		t.Errorf("the bucket has %v, want nothing", keys)
	}
	if n := s.uploads(t); n > 0 {
		t.Errorf("%d multipart uploads are left", n)
	}
}

// lines yields n bodies of the given size; all share the same memory.
func lines(n, size int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b := bytes.Repeat([]byte{'x'}, size)
		for i := range n {
			copy(b, []byte{'a' + byte(i%26)})
			if !yield(b) {
				return
			}
		}
	}
}

func text(bodies iter.Seq[[]byte]) string {
	var b bytes.Buffer
	for body := range bodies {
		b.Write(body)
		b.WriteByte('\n')
	}
	return b.String()
}

func yes(context.Context, handoff.Upload) error { return nil }

func toFile(bodies iter.Seq[[]byte]) sink.File {
	return sink.File{Created: noon, Bodies: bodies}
}
