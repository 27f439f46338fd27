package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// publisherConfig says what to publish and how fast.
type publisherConfig struct {
	URL, Token string
	Batch      int     // events a call
	Callers    int     // calls at a time
	Rate       float64 // calls a second; 0: one after the other
	Events     int64   // to publish; 0: until stopped
	Size       int     // minimum payload size, in bytes
	RareEvery  int     // every n-th event is named rareName; 0: none
	Tenants    int     // the events are of so many tenants in turn; 0: of the token's

	// Control, unless empty, is the control URL of the receivers to keep pace
	// with: the slowest of the first First is at most Window events behind.
	Control string
	First   int
	Window  int64
}

const rareName = "rare.event"

// publisherResult is the outcome of publishing.
type publisherResult struct {
	Events int64
	Took   time.Duration
	Calls  *histogram // call durations
	Held   int64      // calls that started late because too many were in flight
}

// publisher publishes the sample events again and again.
type publisher struct {
	publisherConfig
	samples []sample
	client  *http.Client
	begun   atomic.Int64 // events in calls that have started
	done    atomic.Int64 // events published
	allowed atomic.Int64 // events that may be started
	calls   histogram
	held    int64
}

func publisherPart(ctx context.Context, config []byte, say func(any) error) error {
	p := new(publisher)
	if err := json.Unmarshal(config, &p.publisherConfig); err != nil {
		return err
	}
	samples, err := readSamples()
	if err != nil {
		return err
	}
	for _, s := range samples {
		p.samples = append(p.samples, s.padded(p.Size))
	}
	p.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: p.Callers, DisableCompression: true}}
	p.allowed.Store(1 << 60)
	if p.Events > 0 {
		p.allowed.Store(p.Events)
	}
	stop, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if p.Control != "" {
		if err := p.regulate(stop, cancel); err != nil {
			return err
		}
	}
	started := time.Now()
	if p.Rate > 0 {
		p.evenly(stop, cancel)
	} else {
		p.saturate(stop, cancel)
	}
	if err := context.Cause(stop); err != nil && ctx.Err() == nil {
		return err
	}
	result := publisherResult{Events: p.done.Load(), Took: time.Since(started), Calls: &p.calls, Held: p.held}
	if err := say(result); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// regulate keeps publishing at most Window events ahead of the receivers.
func (p *publisher) regulate(ctx context.Context, fail context.CancelCauseFunc) error {
	taken := func() (int64, error) {
		var counts []int64
		if err := ask(ctx, p.Control+"/counts", &counts); err != nil {
			return 0, err
		}
		return lowest(counts[:p.First]), nil
	}
	before, err := taken()
	if err != nil {
		return err
	}
	p.allowed.Store(p.Window)
	go func() {
		for sleep(ctx, 5*time.Millisecond) == nil {
			now, err := taken()
			if err != nil {
				fail(err)
				return
			}
			p.allowed.Store(now - before + p.Window)
		}
	}()
	return nil
}

// saturate keeps Callers calls in flight.
func (p *publisher) saturate(ctx context.Context, fail context.CancelCauseFunc) {
	var callers sync.WaitGroup
	for range p.Callers {
		callers.Go(func() {
			for ctx.Err() == nil {
				number := p.begun.Add(int64(p.Batch))
				for number > p.allowed.Load() {
					if p.Events > 0 || sleep(ctx, time.Millisecond) != nil {
						return
					}
				}
				if err := p.publish(number, time.Now()); err != nil {
					fail(err)
				}
			}
		})
	}
	callers.Wait()
}

// evenly starts calls at a fixed rate, whether or not earlier ones have finished.
func (p *publisher) evenly(ctx context.Context, fail context.CancelCauseFunc) {
	var callers sync.WaitGroup
	room := make(chan struct{}, p.Callers)
	started := time.Now()
	for n := int64(1); ; n++ {
		due := started.Add(time.Duration(float64(n) / p.Rate * float64(time.Second)))
		if sleep(ctx, time.Until(due)) != nil {
			break
		}
		at := time.Now()
		select {
		case room <- struct{}{}:
		default:
			p.held++
			room <- struct{}{}
		}
		callers.Go(func() {
			defer func() { <-room }()
			if err := p.publish(n*int64(p.Batch), at); err != nil {
				fail(err)
			}
		})
	}
	callers.Wait()
}

// publish publishes the batch that ends with event number.
func (p *publisher) publish(last int64, at time.Time) error {
	var body bytes.Buffer
	for n := last - int64(p.Batch); n < last; n++ {
		s := &p.samples[n%int64(len(p.samples))]
		name := s.Name
		if p.RareEvery > 0 && n%int64(p.RareEvery) == 0 {
			name = rareName
		}
		whose := ""
		if p.Tenants > 0 {
			whose = fmt.Sprintf(`"tenant":"%s-%d",`, tenant, n%int64(p.Tenants))
		}
		_, _ = fmt.Fprintf(&body, `{"id":"%s",%s"name":"%s","payload":%s}`+"\n", timedID(at, uint64(n)), whose, name, s.Payload)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.URL+"/api/v1/org/events", &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+p.Token)
	started := time.Now()
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	received, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("publish returned %s: %.300s", res.Status, received)
	}
	p.calls.add(time.Since(started))
	p.done.Add(int64(p.Batch))
	return nil
}
