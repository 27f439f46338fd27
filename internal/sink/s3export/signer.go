package s3export

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signer signs only what no proxy may change: the host, Content-Type and x-amz-*,
// which is all that S3 requires. The SDK signs nearly every header, but Google
// Cloud Storage, for one, appends to Accept-Encoding before it verifies. The body
// is covered by x-amz-content-sha256.
type signer struct{ v4 *v4.Signer }

func newSigner() signer {
	return signer{v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })} // S3 escapes a path once
}

// SignHTTP implements s3.HTTPSignerV4.
func (s signer) SignHTTP(ctx context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string, at time.Time, options ...func(*v4.SignerOptions)) error {
	bare := r.WithContext(ctx)
	bare.ContentLength = 0 // otherwise it is signed
	bare.Header = maps.Clone(r.Header)
	maps.DeleteFunc(bare.Header, func(name string, _ []string) bool { return !signs(name) })
	if err := s.v4.SignHTTP(ctx, credentials, bare, payloadHash, service, region, at, options...); err != nil {
		return err
	}
	r.Host = bare.Host
	maps.Copy(r.Header, bare.Header)
	return nil
}

func signs(name string) bool {
	name = strings.ToLower(name)
	return name == "content-type" || strings.HasPrefix(name, "x-amz-")
}
