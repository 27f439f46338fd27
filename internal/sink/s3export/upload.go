package s3export

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the header Content-MD5 asks for it; see checksum
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

var (
	newline     = []byte{'\n'}
	contentType = aws.String("application/x-ndjson")
)

// upload is one file being written.
type upload struct {
	*Exporter
	confirm confirmFunc
	key     string
	pooled  *[]byte // the memory of buf, from Client.parts; nil while not needed
	buf     []byte  // not sent yet; its capacity is one part
	size    int64   // bytes written so far
	id      string  // of the multipart upload; "" while there is none
	parts   []types.CompletedPart
	sent    bool // the last request was sent, and its outcome is unknown
	unknown bool // the file may be stored, by this attempt or an earlier one
}

func (u *upload) acquireBuffer() {
	u.pooled = u.client.parts.Get().(*[]byte)
	u.buf = (*u.pooled)[:0]
}

func (u *upload) releaseBuffer() {
	if u.pooled != nil {
		u.client.parts.Put(u.pooled)
		u.pooled, u.buf = nil, nil
	}
}

// maxKept is the maximum number of parts whose ETags are kept for a repeat.
const maxKept = 256

func (u *upload) etags() []string {
	if len(u.parts) > maxKept {
		return nil
	}
	var etags []string
	for _, p := range u.parts {
		etags = append(etags, *p.ETag)
	}
	return etags
}

func (u *upload) setETags(etags []string) {
	for i, etag := range etags {
		u.parts = append(u.parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: &etag})
	}
}

// write appends p to the file. Parts have exactly their size, even if that splits
// a line: some stores require all but the last to be equal.
func (u *upload) write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		if len(u.buf) == cap(u.buf) {
			if err := u.sendPart(ctx); err != nil {
				return err
			}
		}
		n := min(len(p), cap(u.buf)-len(u.buf))
		u.buf = append(u.buf, p[:n]...)
		u.size += int64(n)
		p = p[n:]
	}
	return nil
}

// sendPart uploads the buffer as the next part and empties it.
func (u *upload) sendPart(ctx context.Context) error {
	if u.id == "" {
		if err := u.limit(ctx, responseTimeout, u.create); err != nil {
			return err
		}
	}
	return u.limit(ctx, uploadTimeout(len(u.buf)), u.putPart)
}

func (u *upload) putPart(ctx context.Context) error {
	number := aws.Int32(int32(len(u.parts) + 1))
	body := newPart(u.buf)
	defer body.revoke()
	out, err := u.s3.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: number,
		Body: body, ContentMD5: checksum(u.buf),
	})
	if err != nil {
		return err
	}
	if err := proves(out.ETag, out.ResultMetadata); err != nil {
		return err
	}
	u.parts = append(u.parts, types.CompletedPart{PartNumber: number, ETag: out.ETag})
	u.buf = u.buf[:0]
	return nil
}

func (u *upload) create(ctx context.Context) error {
	out, err := u.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &u.bucket, Key: &u.key, ContentType: contentType,
	})
	if err != nil {
		return err
	}
	if err := proves(out.UploadId, out.ResultMetadata); err != nil {
		return err
	}
	u.id = *out.UploadId
	return nil
}

func (u *upload) put(ctx context.Context) error {
	body := newPart(u.buf)
	defer body.revoke()
	out, err := u.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &u.bucket, Key: &u.key, ContentType: contentType,
		Body: body, ContentMD5: checksum(u.buf),
	})
	if err != nil {
		return err
	}
	return proves(out.ETag, out.ResultMetadata)
}

func (u *upload) complete(ctx context.Context) error {
	out, err := u.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	if err != nil {
		return err
	}
	return proves(out.ETag, out.ResultMetadata)
}

// maxProof is longer than any ETag or upload id, in bytes. They are stored, so
// their length must be limited.
const maxProof = 2048

// proves returns an error unless a response has what S3 returns with a success: an
// ETag or an upload id.
func proves(proof *string, metadata middleware.Metadata) error {
	if n := len(aws.ToString(proof)); n > 0 && n <= maxProof {
		return nil
	}
	status := http.StatusOK
	if res, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response); ok {
		status = res.StatusCode
	}
	return noProofError{status}
}

// stored asks the store whether the complete file exists. No other file has its
// key. It returns false if the credentials lack the permission (s3:GetObject).
func (u *upload) stored(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	defer cancel()
	out, err := u.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &u.bucket, Key: &u.key})
	return err == nil && aws.ToString(out.ETag) != "" && aws.ToInt64(out.ContentLength) == u.size
}

// noSuchUpload reports whether err is the response to completing an upload that is
// already completed or aborted.
func noSuchUpload(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == "NoSuchUpload"
}

// abort discards the parts, even if ctx has ended. Errors are ignored: the parts of
// an incomplete upload are not a file.
func (u *upload) abort(ctx context.Context) {
	if u.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, _ = u.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id})
}

// checksum returns the Content-MD5 of b. It protects against corruption, not
// against attackers; the request's signature does that.
func checksum(b []byte) *string {
	sum := md5.Sum(b) //nolint:gosec // a checksum, not a signature
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// part reads a part for a request. A store may respond before it has read
// everything, and net/http may then keep reading after the call has returned;
// revoke ends that, so that the buffer can be reused.
type part struct {
	mu   sync.Mutex
	r    bytes.Reader
	gone bool
}

func newPart(b []byte) *part {
	p := new(part)
	p.r.Reset(b)
	return p
}

func (p *part) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return 0, io.ErrClosedPipe
	}
	return p.r.Read(b)
}

func (p *part) Seek(offset int64, whence int) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.r.Seek(offset, whence)
}

func (p *part) revoke() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
}
