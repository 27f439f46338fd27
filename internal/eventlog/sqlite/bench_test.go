package sqlite

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// BenchmarkPublish publishes one event of about 500 bytes a call.
func BenchmarkPublish(b *testing.B) {
	for _, callers := range []int{2, 8, 64, 512} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			l, db := open(b, b.TempDir(), time.Now)
			list := drafts(0, 1, 300)
			before := db.Commits()
			b.SetParallelism(max(callers/runtime.GOMAXPROCS(0), 1))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := l.Publish(b.Context(), "a", event.Lanes{Each: 1}, list); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/float64(db.Commits()-before), "events/commit")
		})
	}
}

// BenchmarkPublishOfManyTenants publishes 1,000 events of about 500 bytes a call: of one
// tenant, and of a tenant each.
func BenchmarkPublishOfManyTenants(b *testing.B) {
	for _, tenants := range []int{1, 1000} {
		b.Run(fmt.Sprint("tenants=", tenants), func(b *testing.B) {
			l, db := open(b, b.TempDir(), time.Now)
			list := drafts(0, 1000, 300)
			for i := range list {
				list[i].Tenant = fmt.Sprint("tenant-", i%tenants)
			}
			publish(b, l, "", list) // the partitions are there
			before := db.Commits()
			b.ReportAllocs()
			for b.Loop() {
				publish(b, l, "", list)
			}
			b.ReportMetric(float64(db.Commits()-before)/float64(b.N), "commits/op")
		})
	}
}

// BenchmarkRead reads the log from its start on, as a catch-up does.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1, 20, 500} {
		b.Run(fmt.Sprint("events=", size), func(b *testing.B) {
			l, _ := open(b, b.TempDir(), time.Now)
			l.recent.bytes = recentBytes // from disk alone
			for i := range 4000 / size {
				publish(b, l, "a", drafts(i*size, size, 300))
			}
			p := event.Partition{Tenant: "a"}
			events, bytes := 0, 0
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				for after := uint64(0); ; {
					segments, err := l.Read(b.Context(), p, after, 1<<20)
					if err != nil {
						b.Fatal(err)
					}
					if len(segments) == 0 {
						break
					}
					for i := range segments {
						events += len(segments[i].Events)
						bytes += segments[i].Bytes()
					}
					after = segments[len(segments)-1].Number
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
		})
	}
}
