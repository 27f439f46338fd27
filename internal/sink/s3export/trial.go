package s3export

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sink"
)

// Test writes a file with the event and deletes it. A file that is there but cannot be
// deleted, as the credentials may lack s3:DeleteObject, is delivered all the same. See
// sink.Tester.
func (x *Exporter) Test(ctx context.Context, e *event.Event) sink.Verdict {
	u := x.trial()
	u.buf = append(append(u.buf, e.Body...), newline...)
	err := u.limit(ctx, uploadTimeout(len(u.buf)), u.put)
	if err != nil {
		if !refused(err) {
			_ = u.delete(ctx) // it may be there
		}
		return x.outcome(ctx, err)
	}
	v := sink.Verdict{Outcome: sink.Delivered, Status: http.StatusOK}
	if err := u.delete(ctx); err != nil {
		v.Cause = "the file " + u.key + " was written, but could not be deleted: " + x.failed(err).Cause
	}
	return v
}

// Probe begins a multipart upload and aborts it. See sink.Prober.
func (x *Exporter) Probe(ctx context.Context) sink.Verdict {
	u := x.trial()
	err := u.limit(ctx, sink.ProbeTimeout-abortTimeout, u.create)
	if err == nil {
		err = u.after(ctx, func(ctx context.Context) error {
			_, err := u.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: &u.id})
			return err
		})
	}
	if err != nil {
		return x.outcome(ctx, err)
	}
	return sink.Verdict{Outcome: sink.Delivered, Status: http.StatusOK}
}

// trial returns an upload whose key no file has.
func (x *Exporter) trial() *upload {
	return &upload{Exporter: x, key: x.prefix + "sluice-test-" + x.client.random()}
}

// outcome returns the verdict of a request that failed.
func (x *Exporter) outcome(ctx context.Context, err error) sink.Verdict {
	if ctx.Err() != nil {
		return sink.Verdict{Outcome: sink.Interrupted}
	}
	return x.failed(err)
}

func (u *upload) delete(ctx context.Context) error {
	return u.after(ctx, func(ctx context.Context) error {
		_, err := u.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &u.bucket, Key: &u.key})
		return err
	})
}

// after makes a request that removes what another one has left, even if ctx has ended.
func (u *upload) after(ctx context.Context, do func(context.Context) error) error {
	return u.limit(context.WithoutCancel(ctx), abortTimeout, do)
}
