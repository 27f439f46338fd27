package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
)

// measureS3 measures the memory of exports: first of a file of two parts, then of
// the largest file. The difference is what grows with the file.
func (b *bench) measureS3(ctx context.Context) error {
	s, err := b.newStage(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close()
	started := time.Now()
	const size, few, many = 4 << 10, 1600, 13500 // 7 MiB, and more than 50 MiB
	load := publisherConfig{Batch: liveBatch, Callers: 4, Size: size, Events: few}
	if err := s.node.publish(ctx, tenant, load); err != nil {
		return err
	}
	if err := sleep(ctx, 10*time.Millisecond); err != nil {
		return err
	}
	between := time.Now()
	load.Events = many
	if err := s.node.publish(ctx, tenant, load); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil { // discard the memory that publishing used
		return err
	}
	if s.api, err = s.client(tenant); err != nil {
		return err
	}
	var bucket bucketReady
	p, err := startPart(ctx, "part-bucket", bucketConfig{}, &bucket)
	if err != nil {
		return err
	}
	defer p.end()
	to := bucket.target()
	small, err := s.export(ctx, bucket, client.Registration{
		ID: "small", Type: "temporary", StartsAt: event.FormatTime(started), EndsAt: event.FormatTime(between), S3: to,
	})
	if err != nil {
		return err
	}
	large, err := s.export(ctx, bucket, client.Registration{
		ID: "large", Type: "permanent", StartsAt: event.FormatTime(between), S3: to,
	})
	if err != nil {
		return err
	}
	b.say("s3: %s in %.1f s took %s, then %s in %.1f s took %s more memory", mib(small.size), small.took.Seconds(), mib(small.memory),
		mib(large.size), large.took.Seconds(), mib(large.memory))
	b.report.add(fmt.Sprintf("S3 export of %s: memory at its peak beyond that of an export of %s", mib(large.size), mib(small.size)),
		"a few MiB", mib(large.memory), metIf(large.memory < 8<<20))
	b.report.add(fmt.Sprintf("S3 export of %s, the first since the start: memory at its peak beyond that before", mib(small.size)), "", mib(small.memory), nothing)
	return nil
}

// exported describes one exported file.
type exported struct {
	size, memory int64 // bytes; memory is the peak minus the usage before
	took         time.Duration
}

// export registers an integration and watches its first file.
func (s *stage) export(ctx context.Context, to bucketReady, r client.Registration) (exported, error) {
	var files []int64
	if err := ask(ctx, to.Control, &files); err != nil {
		return exported{}, err
	}
	if err := clearPeak(s.pid()); err != nil {
		return exported{}, err
	}
	before, err := memoryOf(s.pid())
	if err != nil {
		return exported{}, err
	}
	number, started := len(files), time.Now()
	if _, err := s.api.Create(ctx, r); err != nil {
		return exported{}, err
	}
	err = until(ctx, time.Minute, "the file is there", func() (bool, error) {
		err := ask(ctx, to.Control, &files)
		return len(files) > number, err
	})
	if err != nil {
		return exported{}, err
	}
	took := time.Since(started)
	after, err := memoryOf(s.pid())
	return exported{files[number], after.peak - before.now, took}, err
}

// target returns the target of an integration that exports into the server.
func (r bucketReady) target() *client.S3 {
	return &client.S3{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "example", Region: "us-east-1", Bucket: "events", Endpoint: r.URL}
}
