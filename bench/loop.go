package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// loopConfig configures the plain client that the node is compared with.
type loopConfig struct {
	URLs     []string
	InFlight int // calls at a time to each
}

// loopPart posts the sample events to each receiver until ctx ends, with one
// http.Client: keep-alive, a connection per concurrent call, the headers that the
// node sends, no signature, no timeout, no retry.
func loopPart(ctx context.Context, config []byte, say func(any) error) error {
	var c loopConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	samples, err := readSamples()
	if err != nil {
		return err
	}
	events := make([]event.Event, len(samples))
	for i, s := range samples {
		events[i] = event.Draft{ID: s.ID, Name: s.Name, Payload: s.Payload}.Stamp("acme", time.Now())
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c.InFlight, DisableCompression: true}}
	failed := make(chan error, 1)
	var callers sync.WaitGroup
	for _, at := range c.URLs {
		for i := range c.InFlight {
			callers.Go(func() {
				for n := i; ctx.Err() == nil; n += c.InFlight {
					if err := post(ctx, client, at, &events[n%len(events)]); err != nil && ctx.Err() == nil {
						select {
						case failed <- err:
						default:
						}
						return
					}
				}
			})
		}
	}
	callers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return say(struct{}{})
	}
}

// post makes one call.
func post(ctx context.Context, client *http.Client, at string, e *event.Event) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(e.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Sluice/bench")
	req.Header.Set("Webhook-Id", e.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(time.Now().Unix(), 10))
	req.Header.Set("Sluice-Attempt", "1")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s returned %s", at, res.Status)
	}
	return nil
}
