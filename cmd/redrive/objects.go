package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/fanout"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/internal/settings"
)

// objects is the part of the S3 API that is used; *s3.Client implements it.
type objects interface {
	s3.ListObjectsV2APIClient
	GetObject(ctx context.Context, in *s3.GetObjectInput, options ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	DeleteObject(ctx context.Context, in *s3.DeleteObjectInput, options ...func(*s3.Options)) (*s3.DeleteObjectOutput, error)
}

// malformed puts back the records that fanout could not read, if this release can
// read them.
type malformed struct {
	objects objects
	bucket  string
	drain   *drain
	tally   *tally
}

// maxObject bounds an object: a record of up to 10 MiB in Base64.
const maxObject = 16 << 20

func (m *malformed) run(ctx context.Context) error {
	pages := s3.NewListObjectsV2Paginator(m.objects, &s3.ListObjectsV2Input{Bucket: &m.bucket, Prefix: aws.String(fanout.QuarantinePrefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list %s in the bucket: %w", fanout.QuarantinePrefix, err)
		}
		for i := range page.Contents {
			key := aws.ToString(page.Contents[i].Key)
			m.tally.say("Object %s:", key)
			if err := m.one(ctx, key, aws.ToTime(page.Contents[i].LastModified)); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				m.tally.keep(err)
			}
		}
	}
	return nil
}

// one puts an object's record on the stream and then deletes the object. Releases that did
// not keep when a record arrived have quarantined it soon after.
func (m *malformed) one(ctx context.Context, key string, quarantined time.Time) error {
	text, err := m.get(ctx, key)
	if err != nil {
		return fmt.Errorf("read the object: %w", err)
	}
	p, err := fanout.ParseQuarantined(text)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(p.Stream, ":stream/"+m.drain.name) {
		return fmt.Errorf("it belongs to the stream %s, but --stream is %s", p.Stream, m.drain.name)
	}
	if p.Arrived.IsZero() {
		p.Arrived = quarantined
	}
	marker, err := readable(p)
	if err != nil {
		return fmt.Errorf("this release cannot read it either: %w", err)
	}
	if m.tally.dryRun {
		m.tally.done(1)
		return nil
	}
	put := 0
	if !marker { // a watermark marker is valid only where it was
		entry := settled(types.PutRecordsRequestEntry{PartitionKey: &p.PartitionKey, Data: p.Data}, p.EventID, p.Arrived)
		if err := m.drain.put(ctx, []types.PutRecordsRequestEntry{entry}); err != nil {
			return err
		}
		put = 1
	}
	if _, err := m.objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &m.bucket, Key: &key}); err != nil {
		return fmt.Errorf("its record is back on the stream, but the object could not be deleted, so another run will put it again: %w", err)
	}
	m.tally.done(put)
	return nil
}

// readable returns an error if this release cannot read the record, and whether it is a
// watermark marker.
func readable(p fanout.Quarantined) (marker bool, err error) {
	if wire.IsPlain(p.Data) {
		_, err := wire.DecodePlain(bytes.Clone(p.Data), settings.Default().MaxEventBytes)
		return false, err
	}
	content, err := wire.Decode(p.PartitionKey, p.Data)
	return !content.Marker.IsZero(), err
}

func (m *malformed) get(ctx context.Context, key string) ([]byte, error) {
	out, err := m.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &m.bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxObject+1))
	if err == nil && len(text) > maxObject {
		err = fmt.Errorf("it has more than %d bytes", maxObject)
	}
	return text, err
}
