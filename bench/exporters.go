package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/client"
	"github.com/sluicehq/sluice/internal/event"
)

const (
	exportersEach = 10        // integrations of a slow tenant, the default of SLUICE_MAX_INTEGRATIONS
	exportersRate = 160 << 10 // bytes/s that the slow server reads: just enough for no upload to fail
	exportersFile = "SLUICE_S3_FILE_INTERVAL=1s"
)

// measureExporters measures how long it takes until a tenant's file is stored, alone
// and beside two tenants whose S3 servers hang, or read slowly.
func (b *bench) measureExporters(ctx context.Context) error {
	s, err := b.newStage(ctx, 0, exportersFile)
	if err != nil {
		return err
	}
	defer s.close()
	var own bucketReady
	p, err := startPart(ctx, "part-bucket", bucketConfig{}, &own)
	if err != nil {
		return err
	}
	defer p.end()
	if _, err := s.api.Create(ctx, client.Registration{ID: "files", Type: "permanent", S3: own.target()}); err != nil {
		return err
	}
	quiet, err := s.files(ctx, own, b.lasting(12*time.Second))
	if err != nil {
		return err
	}
	for name, config := range map[string]bucketConfig{"hangs": {Hangs: true}, "slow": {Rate: exportersRate}} {
		end, err := s.slowExporter(ctx, name, config)
		if err != nil {
			return err
		}
		defer end()
	}
	beside, err := s.files(ctx, own, b.lasting(30*time.Second))
	if err != nil {
		return err
	}
	b.reportExporters(spreadOf(quiet), spreadOf(beside), len(beside))
	return nil
}

func (b *bench) reportExporters(quiet, beside spread, files int) {
	text := func(s spread) string { return fmt.Sprintf("%.1f s (%.1f–%.1f)", s.median, s.min, s.max) }
	b.say("exporters: a file is stored after %s, and beside slow exporters, in %d files, after %s", text(quiet), files, text(beside))
	what := fmt.Sprintf("two tenants' %d exports to servers that hang or read slowly: until a third one's file is stored", 2*exportersEach)
	b.report.add(what+", median", "", fmt.Sprintf("%.1f × the quiet case", beside.median/quiet.median), nothing)
	b.report.add(what+", longest", "", fmt.Sprintf("%.1f × the quiet case", beside.max/quiet.max), nothing)
	b.report.detail("Slow exporters", fmt.Sprintf("From the publish to the stored file, median (lowest–highest): quiet %s, beside them %s.", text(quiet), text(beside)))
}

// slowExporter gives a tenant as many exports as it may have, all to a slow server and
// with a file of 7 MiB to write.
func (s *stage) slowExporter(ctx context.Context, tenant string, config bucketConfig) (end func(), err error) {
	started := time.Now()
	if err := s.node.publish(ctx, tenant, publisherConfig{Batch: liveBatch, Callers: 4, Size: 4 << 10, Events: 1600}); err != nil {
		return nil, err
	}
	api, err := s.client(tenant)
	if err != nil {
		return nil, err
	}
	var slow bucketReady
	p, err := startPart(ctx, "part-bucket", config, &slow)
	if err != nil {
		return nil, err
	}
	for i := range exportersEach {
		_, err := api.Create(ctx, client.Registration{ID: hook(i), Type: "permanent", StartsAt: event.FormatTime(started), S3: slow.target()})
		if err != nil {
			p.end()
			return nil, err
		}
	}
	return p.end, nil
}

// files publishes one event after another for d, each as soon as the file with the one
// before is stored, and returns the seconds that each file took.
func (s *stage) files(ctx context.Context, to bucketReady, d time.Duration) (took []float64, err error) {
	var files []int64
	for until := time.Now().Add(d); time.Now().Before(until); {
		if err := ask(ctx, to.Control, &files); err != nil {
			return nil, err
		}
		one, err := s.file(ctx, to, len(files))
		if err != nil {
			return nil, err
		}
		took = append(took, one.Seconds())
	}
	return took, nil
}

// file publishes an event and returns the time until there are more files than before.
func (s *stage) file(ctx context.Context, to bucketReady, before int) (time.Duration, error) {
	started := time.Now()
	if err := s.node.publish(ctx, tenant, publisherConfig{Batch: 1, Callers: 1, Events: 1}); err != nil {
		return 0, err
	}
	var files []int64
	err := untilEvery(ctx, 10*time.Millisecond, 2*time.Minute, "a tenant's file is stored", func() (bool, error) {
		err := ask(ctx, to.Control, &files)
		return len(files) > before, err
	})
	return time.Since(started), err
}
