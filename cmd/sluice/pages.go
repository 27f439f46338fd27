package main

import (
	"context"
	"math"

	"github.com/sluicehq/sluice/internal/client"
)

// pageSize is how many entries of a list one call returns at most.
const pageSize = 200

// pages reads a list page by page, until it ends or limit entries are there. It returns a
// list that is not nil.
func pages[T any](limit int, read func(size int, after string) (page []T, next string, err error)) ([]T, error) {
	all := []T{}
	for after := ""; ; {
		page, next, err := read(min(limit-len(all), pageSize), after)
		if all = append(all, page...); err != nil || next == "" || len(all) >= limit {
			return all, err
		}
		after = next
	}
}

// rejectedEvents returns the newest rejected events of an integration, at most limit of
// them; all of them if limit is 0.
func rejectedEvents(ctx context.Context, c *client.Client, id string, limit int) ([]client.RejectedEvent, error) {
	if limit == 0 {
		limit = math.MaxInt
	}
	return pages(limit, func(size int, after string) ([]client.RejectedEvent, string, error) {
		return c.RejectedEvents(ctx, id, size, after)
	})
}
