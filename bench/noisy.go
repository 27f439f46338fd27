package main

import "context"

var noisyPublishers = []assault{
	{"16 callers with 1,000 events of 300 B", 5, noisy(16, 1000, 300)},
	{"4 callers with 5 MiB", 5, noisy(4, 1000, 5_220)},
}

// measureNoisy measures a quiet tenant's publishes of one event while another tenant
// publishes without a break.
func (b *bench) measureNoisy(ctx context.Context) error {
	return b.measureAssaults(ctx, "noisy", noisyPublishers)
}

// noisy returns callers that publish a number of events of the given size again and
// again.
func noisy(callers, events, size int) func(context.Context, *node, string, *answerCounts) (func(), error) {
	return func(ctx context.Context, n *node, token string, answers *answerCounts) (func(), error) {
		return repeat(ctx, callers, 0, n.url, token, bulk(events, size), answers), nil
	}
}
