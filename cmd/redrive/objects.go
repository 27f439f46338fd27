package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/sluicehq/sluice/internal/fanout"
)

// objects is the part of the S3 API that is used; *s3.Client implements it.
type objects interface {
	s3.ListObjectsV2APIClient
	GetObject(ctx context.Context, in *s3.GetObjectInput, options ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	DeleteObject(ctx context.Context, in *s3.DeleteObjectInput, options ...func(*s3.Options)) (*s3.DeleteObjectOutput, error)
}

// content is what an object holds for the stream.
type content struct {
	stream  string // ARN
	about   string // one line, "" for none
	entries []types.PutRecordsRequestEntry
}

// A kind of object has its own prefix and form. parse takes when the object was stored.
type kind struct {
	prefix string
	parse  func(text []byte, stored time.Time) (content, error)
}

// kinds are in the order in which they are put back.
var kinds = []kind{{fanout.GivenUpPrefix, givenUp}, {fanout.QuarantinePrefix, quarantined}}

// bucket puts back what the bucket holds: batches that Lambda gave up on, and records that
// fanout could not read, if this release can read them.
type bucket struct {
	objects objects
	name    string
	drain   *drain
	tally   *tally
}

// maxObject bounds an object: a record of up to 10 MiB in Base64.
const maxObject = 16 << 20

func (b *bucket) run(ctx context.Context) (failed error) {
	for _, k := range kinds {
		failed = errors.Join(failed, b.all(ctx, k))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return failed
}

// all puts back the objects of one kind, in the order of their keys: batches of a shard in
// the order in which Lambda gave them up.
func (b *bucket) all(ctx context.Context, k kind) error {
	pages := s3.NewListObjectsV2Paginator(b.objects, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &k.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list %s in the bucket: %w", k.prefix, err)
		}
		for i := range page.Contents {
			key := aws.ToString(page.Contents[i].Key)
			b.tally.say("Object %s:", key)
			if err := b.one(ctx, k, key, aws.ToTime(page.Contents[i].LastModified)); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				b.tally.keep(err)
			}
		}
	}
	return nil
}

// one puts an object's records on the stream and then deletes the object. If the run ends
// between the two, the next run puts them again.
func (b *bucket) one(ctx context.Context, k kind, key string, stored time.Time) error {
	text, err := b.get(ctx, key)
	if err != nil {
		return fmt.Errorf("read the object: %w", err)
	}
	c, err := k.parse(text, stored)
	if err != nil {
		return err
	}
	if c.about != "" {
		b.tally.say("  %s", c.about)
	}
	if !strings.HasSuffix(c.stream, ":stream/"+b.drain.name) {
		return fmt.Errorf("it belongs to the stream %s, but --stream is %s", c.stream, b.drain.name)
	}
	if b.tally.dryRun {
		b.tally.done(len(c.entries))
		return nil
	}
	if err := b.drain.put(ctx, c.entries); err != nil {
		return err
	}
	if _, err := b.objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key}); err != nil {
		return fmt.Errorf("its %d records are back on the stream, but the object could not be deleted, so another run will put them again: %w", len(c.entries), err)
	}
	b.tally.done(len(c.entries))
	return nil
}

func (b *bucket) get(ctx context.Context, key string) ([]byte, error) {
	out, err := b.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
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
