package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/test/aws/bench/cost"
)

// memory is what the template gives fanout and advance, in MB.
const memory = 512

// write writes the report.
func write(w io.Writer, m *cost.Measured) error {
	var out strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&out, format+"\n", args...) }
	line("%s, %s; %s; load %s; medians of %d round(s).\n", m.Command, m.Date, m.Machine, m.Load, m.Rounds)
	line("| what | target | reached | met |\n|---|---|---|---|")
	for _, f := range m.Functions {
		line("| %s: init | ≤ 50 ms | %.0f ms | %s |", f.Name, f.InitMS, met(f.InitMS <= 50))
		line("| %s: zip | ≤ 12 MiB | %s | %s |", f.Name, mib(f.ZipBytes), met(f.ZipBytes <= 12<<20))
	}
	for _, b := range m.FullBatches {
		line("| fanout: memory for a full batch, %s | ≤ 128 MiB | %s | %s |", b.What, mib(b.RSS), met(b.RSS <= 128<<20))
	}
	line("")
	line("| function | zip, arm64 | init | CPU of a cold start | peak memory |\n|---|---|---|---|---|")
	for _, f := range m.Functions {
		line("| %s | %s | %.0f ms | %.0f ms | %s |", f.Name, mib(f.ZipBytes), f.InitMS, f.InitCPU, mib(f.RSS))
	}
	line("\n| full batch of fanout, ten followers | invocation | events | bodies | peak memory | billed | followers that left |\n|---|---|---|---|---|---|---|")
	for _, b := range m.FullBatches {
		line("| %s | %s | %d | %s | %s | %d ms | %d |", b.What, mib(int64(b.Payload)), b.Events, mib(int64(b.Bodies)), mib(b.RSS), b.BilledMS, b.Left)
	}
	h := m.HotPath
	line("\nA warm invocation of fanout: %.2f ms of CPU, %.2f ms more a partition, %.3f ms more a delivery; with one of each it takes %.0f ms and writes %.0f bytes of log.",
		h.InvocationCPU, h.PartitionCPU, h.DeliveryCPU, h.BilledMS, h.LogBytes)
	line("An event of %d bytes makes an item of %d bytes. The record of a partition has %d bytes with one follower, %d with ten.\n",
		h.EventBytes, h.SegmentBytes, h.RecordBytes[0], h.RecordBytes[1])
	line("| publish call | billed | CPU | on the stream | log |\n|---|---|---|---|---|")
	for _, p := range m.Publish {
		line("| %d events | %.1f ms | %.2f ms | %d B | %.0f B |", p.Events, p.BilledMS, p.CPU, p.Bytes, p.LogBytes)
	}
	writeCases(&out, "Live", m.Live)
	writeCases(&out, "Catch-up", m.CatchUp)
	_, err := io.WriteString(w, out.String())
	return err
}

// writeCases writes a table, a picture, and a table of requests.
func writeCases(out *strings.Builder, title string, cases []cost.Case) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("\n### %s\n\nOf 1,000 deliveries:\n", title)
	line("| webhooks | receiver | publishing | events a batch | billed here | CPU | billed by the model | GB-ms | followers' steps |\n|---|---|---|---|---|---|---|---|---|")
	most := 0.0
	for _, c := range cases {
		billed := cost.Model(c.BilledMS, c.CPU, memory)
		most = max(most, billed)
		line("| %d | %d ms | %s | %.1f | %.0f ms | %.0f ms | %.0f ms | %.0f | %.0f |", c.Webhooks, c.ReceiverMS, publishing(c), c.EventsEach,
			c.BilledMS, c.CPU, billed, billed*memory/1024, c.Strays)
	}
	line("\n```")
	for _, c := range cases {
		billed := cost.Model(c.BilledMS, c.CPU, memory)
		text := fmt.Sprintf("%2d × %3d ms  %-12s %7.0f ms  %s", c.Webhooks, c.ReceiverMS, publishing(c), billed, strings.Repeat("#", int(50*billed/most)))
		line("%s", strings.TrimRight(text, " "))
	}
	line("```\n\nRequests:\n\n| webhooks | receiver | publishing | of one invocation | of 1,000 deliveries |\n|---|---|---|---|---|")
	for _, c := range cases {
		line("| %d | %d ms | %s | %s | %s |", c.Webhooks, c.ReceiverMS, publishing(c), requests(c.PerBatch), requests(c.Requests))
	}
}

// publishing says how the events came.
func publishing(c cost.Case) string {
	if c.CallsPerSecond == 0 {
		return "waiting"
	}
	return fmt.Sprintf("%d × %d/s", c.EventsPerCall, c.CallsPerSecond)
}

// requests lists requests by operation.
func requests(list map[string]float64) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		format := "%.2f %s"
		if list[name] >= 100 {
			format = "%.0f %s"
		}
		words = append(words, fmt.Sprintf(format, list[name], name))
	}
	return strings.Join(words, ", ")
}

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
