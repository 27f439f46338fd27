package deliveries_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
)

// BenchmarkPack packs what ten integrations got of a hundred events, which took different
// times. One operation is a thousand deliveries.
func BenchmarkPack(b *testing.B) {
	var parts []deliveries.Part
	for i := range 10 {
		p := deliveries.Part{Integration: fmt.Sprint("hook-", i)}
		for j := range 100 {
			p.Results = append(p.Results, delivered(5, j, now.UnixMilli()+int64(j/3), int64(j*7%5)))
		}
		parts = append(parts, p)
	}
	size := 0
	for b.Loop() {
		for _, r := range deliveries.Pack(part, "", now, time.Hour, parts) {
			size = len(r.Data)
		}
	}
	b.ReportMetric(float64(size), "B/record")
}
