// Package s3export delivers events as files of newline-delimited JSON in the
// customer's own S3 bucket, or in that of an S3-compatible store.
//
// Delivery is at least once. A file is complete or absent: it is uploaded in parts
// and completed at the end; a failure before that leaves no file. A success counts
// only with what S3 returns with one: an ETag or an upload id.
//
// If the last request has no response, it is unknown whether the file exists. The
// next attempt resolves that: it completes the same upload again, which S3 treats
// as the same request; then asks for the file (HEAD, for which the credentials need
// s3:GetObject); otherwise it writes the same events under the same key. So there
// is one file, however responses are delayed or lost; in a versioned bucket it can
// have two versions.
//
// Every wait is limited: 10 s to connect, 10 s for TLS, one minute for a request
// with its response, 10 minutes for the one that completes an upload, during which
// S3 sends blanks; 10 s for HEAD and 3 s for an abort.
//
// Limits: memory is one part, 5 MiB, per file being written, whatever its size; a
// file can have 10,000 parts, about 48 GiB. The ETags of up to 256 parts are kept
// for a repeat; a larger file is checked with HEAD or written again. If the
// response that opens a multipart upload is lost, or an abort fails, the parts stay
// invisible in the bucket; a lifecycle rule for incomplete multipart uploads removes
// them. Redirects are not followed, and no proxy is used but the one of the
// settings (see package egress).
package s3export

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink/keepalive"
)

const (
	partSize         = 5 << 20  // the minimum that S3 accepts, except for the last part
	maxResponseBytes = 1 << 20  // of a response body; the SDK reads all of an error into memory
	maxHeaderBytes   = 64 << 10 // of a response
	idleTimeout      = 5 * time.Second
)

// Options configures a Client.
type Options struct {
	Route       egress.Route           // required: checks every address that is dialled
	Connections *keepalive.Connections // required: bounds those that are kept
	Random      func() string          // random part of a file's name: letters and digits; nil: 128 bits of crypto/rand
}

// Client opens the exporters of all S3 integrations and owns their buffers. A process
// needs only one. It is safe for concurrent use.
type Client struct {
	route       egress.Route
	connections *keepalive.Connections
	random      func() string
	parts       sync.Pool // of *[]byte with the capacity of a part
}

// New returns a Client. It makes no connections.
func New(o Options) *Client {
	if o.Random == nil {
		o.Random = func() string { return strings.ToLower(rand.Text()) }
	}
	return &Client{
		route: o.Route, connections: o.Connections, random: o.Random,
		parts: sync.Pool{New: func() any { b := make([]byte, 0, partSize); return &b }},
	}
}

// newHTTP returns the HTTP client of one integration, and what closes its idle
// connections.
func (c *Client) newHTTP() (client *http.Client, closeIdle func()) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	overTCP := &http.Transport{
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        idleTimeout, // shorter than any store's: a PUT is not repeated on a closed connection
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
	}
	c.route.Set(overTCP)
	transport := keepalive.New(overTCP, c.connections)
	return &http.Client{
		Transport:     limited{transport, c.route},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, transport.CloseIdleConnections
}

// limited limits response bodies, so that no store can exhaust memory. If the
// headers already prove that a file or a part is stored, it drops the body: one
// that hangs or breaks must not turn that into a failure.
type limited struct {
	http.RoundTripper
	route egress.Route
}

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		req = req.WithContext(req.Context())
		req.Body = onlyReader{req.Body}
	}
	res, err := l.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if err := l.route.Check(req, res); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	switch {
	case res.StatusCode != http.StatusOK:
	case req.Method == http.MethodPut && stores(res):
		_ = res.Body.Close()
		res.Body = http.NoBody
		return res, nil
	case req.Method == http.MethodPut:
		res.Header.Del("ETag") // it proves nothing
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{&untilResult{body: io.LimitReader(res.Body, maxResponseBytes)}, res.Body}
	return res, nil
}

// stores reports whether a 200 to a PUT is S3's: it has a strong ETag and no body.
// A web app that serves its start page for every request has an ETag too, mostly a
// weak one, and a body.
func stores(res *http.Response) bool {
	etag := res.Header.Get("ETag")
	return etag != "" && !strings.HasPrefix(etag, "W/") && res.ContentLength <= 0
}

// resultEnd ends the response to a CompleteMultipartUpload.
const resultEnd = "</CompleteMultipartUploadResult>"

// untilResult is a response body that ends with S3's result: the store has the
// file then, whether the rest of the body, or its trailer, arrives or not.
type untilResult struct {
	body io.Reader
	last []byte // the end of what was read
}

func (u *untilResult) Read(p []byte) (int, error) {
	if bytes.Contains(u.last, []byte(resultEnd)) {
		return 0, io.EOF
	}
	n, err := u.body.Read(p)
	u.last = append(u.last, p[:n]...)
	if at := bytes.Index(u.last, []byte(resultEnd)); at < 0 {
		u.last = bytes.Clone(u.last[max(0, len(u.last)-len(resultEnd)):])
	}
	return n, err
}

// onlyReader hides a body's WriteTo. The SDK closes the body of a request as soon
// as a response begins, and its WriteTo then fails with io.EOF. net/http looks
// for bytes beyond the length once it has sent them, takes that for a failed
// write, and closes the connection: the response to a CompleteMultipartUpload,
// which may take minutes after its first byte, would be cut off.
type onlyReader struct{ io.ReadCloser }

// Exporter is the sink.Exporter of one integration. It is safe for concurrent use;
// concurrent exports write different files.
type Exporter struct {
	client *Client
	close  func()
	s3     *s3.Client
	bucket string
	region string
	prefix string // of every key, with the trailing slash
	where  string // the bucket as reasons show it
	hidden []string
}

// Close implements sink.Closer.
func (x *Exporter) Close() { x.close() }

// Open decrypts the secret key of an S3 integration and returns its exporter, which
// is valid as long as the integration's generation does not change. It makes no
// connection. Only the integration's credentials are used, never those of the
// environment, the machine or a profile.
func (c *Client) Open(ctx context.Context, in *integration.Integration, sealer secret.Sealer) (*Exporter, error) {
	to := in.S3
	owner := in.SecretOwner(integration.FieldSecretAccessKey)
	key, err := sealer.Open(ctx, owner, to.SecretAccessKey)
	if err != nil {
		return nil, fmt.Errorf("integration %s: decrypting its %s: %w", in.ID, owner.Field, err)
	}
	client, closeIdle := c.newHTTP()
	options := s3.Options{
		Region:      to.Region,
		Credentials: credentials.NewStaticCredentialsProvider(to.AccessKeyID, key.Reveal(), ""),
		HTTPClient:  client,
		Retryer:     aws.NopRetryer{},

		HTTPSignerV4: newSigner(),
		// No Expect: 100-continue: some proxies respond with a 417 and others drop
		// it. What S3 refuses, it refuses when the upload is created.
		ContinueHeaderThresholdBytes: -1,
		// Content-MD5 is sent instead: every store supports it, and buckets with
		// object lock require it.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	where := fmt.Sprintf("S3 bucket %q", to.Bucket)
	if to.Endpoint != "" {
		u, err := url.Parse(to.Endpoint)
		if err != nil || u.Host == "" || u.User != nil {
			// The message has neither err nor the URL: both can contain secrets.
			return nil, fmt.Errorf("integration %s: its endpoint is not an absolute URL without user info", in.ID)
		}
		options.BaseEndpoint, options.UsePathStyle = &to.Endpoint, true
		where += " at " + u.Host
	}
	return &Exporter{
		client: c,
		close:  closeIdle,
		s3:     s3.New(options),
		bucket: to.Bucket,
		region: to.Region,
		prefix: keyPrefix(to.KeyPrefix, in.Tenant),
		where:  where,
		hidden: []string{to.AccessKeyID, key.Reveal()},
	}, nil
}
