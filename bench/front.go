package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	frontSilent  = 1000      // connections that announce a body and send none
	frontAtOnce  = 64        // calls at a time with a body of one huge event
	frontCallers = 200       // calls at a time with a large body
	frontLength  = 5_200_000 // bytes
	frontNames   = 570_000   // in the huge event
)

// assault is what one tenant does to the node while another one publishes.
type assault struct {
	name  string
	ratio float64 // of the quiet tenant's publishes, at most
	begin func(ctx context.Context, n *node, token string, answers *answerCounts) (end func(), err error)
}

var assaults = []assault{
	{fmt.Sprintf("%d silent connections and %d huge events at a time", frontSilent, frontAtOnce), 3, huge},
	{fmt.Sprintf("%d callers with bodies of 5 MB", frontCallers), 5, large},
}

// measureFront measures the node's memory, and a quiet tenant's publishes of one event,
// while another tenant sends as much as it can.
func (b *bench) measureFront(ctx context.Context) error {
	return b.measureAssaults(ctx, "front", assaults)
}

func (b *bench) measureAssaults(ctx context.Context, section string, all []assault) error {
	for _, a := range all {
		if err := b.measureAssault(ctx, section, a); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureAssault(ctx context.Context, section string, a assault) error {
	s, err := b.newStage(ctx, 0)
	if err != nil {
		return err
	}
	defer s.close()
	before, err := s.publishQuietly(ctx, b.lasting(4*time.Second))
	if err != nil {
		return err
	}
	memoryBefore, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	token, err := s.token("noisy")
	if err != nil {
		return err
	}
	var answers answerCounts
	end, err := a.begin(ctx, s.node, token, &answers)
	if err != nil {
		return err
	}
	during, err := s.publishQuietly(ctx, b.lasting(12*time.Second))
	end()
	if err != nil {
		return err
	}
	memoryAfter, err := memoryOf(s.pid())
	if err != nil {
		return err
	}
	grown := memoryAfter.peak - memoryBefore.now
	quiet, noisy := before.Calls.percentile(0.5), during.Calls.percentile(0.5)
	ratio := float64(noisy) / float64(max(quiet, 1))
	b.say("%s, %s: memory +%s; a quiet tenant's publish %.2f → %.2f ms (p99 %.2f → %.2f); responses to the noisy one: %s", section, a.name, mib(grown),
		ms(quiet), ms(noisy), ms(before.Calls.percentile(0.99)), ms(during.Calls.percentile(0.99)), answers.String())
	b.report.add(a.name+": memory", "≤ 200 MiB more", mib(grown), metIf(grown <= 200<<20))
	b.report.add(a.name+": p50 of another tenant's publish", fmt.Sprintf("≤ %.0f × without", a.ratio), fmt.Sprintf("%.2f ×", ratio), metIf(ratio <= a.ratio))
	return nil
}

// publishQuietly publishes one event at a time, 50 a second.
func (s *stage) publishQuietly(ctx context.Context, d time.Duration) (publisherResult, error) {
	var r publisherResult
	p, err := s.publisher(ctx, "quiet", publisherConfig{Batch: 1, Callers: 8, Rate: 50})
	if err != nil {
		return r, err
	}
	defer p.end()
	if err := sleep(ctx, d); err != nil {
		return r, err
	}
	return r, p.finish(&r)
}

// huge opens silent connections, and publishes huge events again and again.
func huge(ctx context.Context, n *node, token string, answers *answerCounts) (func(), error) {
	at, err := url.Parse(n.url)
	if err != nil {
		return nil, err
	}
	var silent []net.Conn
	for range frontSilent {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
		if err != nil {
			return nil, err
		}
		silent = append(silent, conn)
		_, err = fmt.Fprintf(conn, "POST /api/v1/org/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", at.Host, token, frontLength)
		if err != nil {
			return nil, err
		}
	}
	var body bytes.Buffer
	body.WriteString(`{"name":"order.created","payload":{"":0`)
	for i := range frontNames {
		_, _ = fmt.Fprintf(&body, `,"%x":1`, i)
	}
	body.WriteString("}}")
	stop := repeat(ctx, frontAtOnce, frontEvery, n.url, token, body.Bytes(), answers)
	return func() {
		stop()
		for _, conn := range silent {
			_ = conn.Close()
		}
	}, nil
}

// large publishes bodies of 5 MB again and again.
func large(ctx context.Context, n *node, token string, answers *answerCounts) (func(), error) {
	return repeat(ctx, frontCallers, frontEvery, n.url, token, bulk(970, 5_147), answers), nil
}

// bulk returns a body of events of the given size, in bytes.
func bulk(events, size int) []byte {
	const begin, end = `{"name":"order.created","payload":{"text":"`, `"}}`
	one := begin + strings.Repeat("x", size-len(begin)-len(end)) + end
	return []byte(`{"events":[` + one + strings.Repeat(","+one, events-1) + `]}`)
}

// frontEvery is how often a caller publishes at most, so that sending the bodies takes less
// of the processors than the node does.
const frontEvery = time.Second

// refusedWait is how long a caller waits after a refusal, as Retry-After says.
const refusedWait = time.Second

// repeat publishes a body with a number of callers, all at once and again, each at most
// once in the given time, until the returned function is called. A caller that is refused
// as the node is busy waits as it is told to.
func repeat(ctx context.Context, callers int, every time.Duration, at, token string, body []byte, answers *answerCounts) func() {
	ctx, cancel := context.WithCancel(ctx)
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				next := time.Now().Add(every)
				status := publishBody(ctx, client, at, token, body)
				answers.add(status)
				if status == http.StatusServiceUnavailable || status == 0 {
					next = time.Now().Add(refusedWait)
				}
				_ = sleep(ctx, time.Until(next))
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		transport.CloseIdleConnections()
	}
}

// publishBody publishes a body and returns the status of the answer, 0 if there is none.
func publishBody(ctx context.Context, client *http.Client, at, token string, body []byte) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/api/v1/org/events", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// answerCounts counts answers by what became of the call.
type answerCounts struct{ taken, tooLarge, busy, other, none atomic.Int64 }

func (a *answerCounts) add(status int) {
	switch status {
	case http.StatusAccepted:
		a.taken.Add(1)
	case http.StatusRequestEntityTooLarge:
		a.tooLarge.Add(1)
	case http.StatusServiceUnavailable:
		a.busy.Add(1)
	case 0:
		a.none.Add(1)
	default:
		a.other.Add(1)
	}
}

func (a *answerCounts) String() string {
	return fmt.Sprintf("%d × 202, %d × 413, %d × 503, %d others, %d without a response",
		a.taken.Load(), a.tooLarge.Load(), a.busy.Load(), a.other.Load(), a.none.Load())
}
