package publish_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/settings"
)

// distinct returns an object with the given number of names, each once.
func distinct(names int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%x":1`, i)
	}
	b.WriteByte('}')
	return b.String()
}

// allocated returns the bytes that something allocates.
func allocated(something func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	something()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// An event that is too large is refused before anything is made of its names, wherever it is.
func TestTooLargeEventsCostNothing(t *testing.T) {
	large := distinct(500_000)
	first := `{"name":"order.created","payload":{}}`
	for name, c := range map[string]struct {
		format publish.Format
		body   string
	}{
		"alone":           {publish.JSON, `{"name":"order.created","payload":` + large + `}`},
		"in a list":       {publish.JSON, `{"events":[` + first + `, {"payload":` + large + `,"name":"order.created"}]}`},
		"on a line":       {publish.NDJSON, first + "\n" + `{"name":"order.created","payload":` + large + `}`},
		"instead of one":  {publish.JSON, `{"events":[[` + large + `]]}`},
		"instead of list": {publish.JSON, `{"events":` + large + `}`},
		"as an id":        {publish.JSON, `{"id":` + large + `,"name":"order.created","payload":{}}`},
	} {
		s := publish.New(new(dropped), settings.Default())
		body := []byte(c.body)
		var err error
		cost := allocated(func() { _, err = s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: c.format, Body: body}) })
		if problem.CodeOf(err) != problem.PayloadTooLarge || cost > int64(len(body))/20 {
			t.Errorf("%s: %v; it allocated %d bytes for a body of %d", name, err, cost, len(body))
		}
	}
}

// The largest event that is accepted, and what looks as if it did not end.
func TestEventsUpToTheLimit(t *testing.T) {
	const limit = 1000
	for _, filling := range []string{"x", `\\`, `\"`, "{", "}", `","`, `\\\"`} {
		for _, more := range []int{0, 1} {
			head, tail := `{"name":"a.b","payload":{"k":["`, `"]}}`
			text := strings.Repeat(filling, (limit-len(head)-len(tail))/len(filling))
			exact := head + text + strings.Repeat("x", limit+more-len(head)-len(tail)-len(text)) + tail
			for format, body := range map[publish.Format]string{publish.JSON: `{"events":[ ` + exact + `,{"name":"a.b","payload":{}}]}`, publish.NDJSON: exact + "\n\n" + `{"name":"a.b","payload":{}}`} {
				s, _ := setup()
				_, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: format, Body: []byte(body)})
				if want := map[int]problem.Code{1: problem.PayloadTooLarge}[more]; problem.CodeOf(err) != want {
					t.Errorf("%q, %d bytes, format %d: %v", filling, len(exact), format, err)
				}
			}
		}
	}
}

// kept is a log that keeps what it is given, as one does that waits for its disk.
type kept struct {
	dropped
	drafts [][]event.Draft
}

func (k *kept) Publish(_ context.Context, _ string, _ event.Lanes, drafts []event.Draft) error {
	k.drafts = append(k.drafts, drafts)
	return nil
}

// A call that waits for the log holds no more than its body and its weight, whatever it is
// made of; and the weight is not many times too much.
func TestWeight(t *testing.T) {
	small, ordinary := `{"name":"a.b","payload":{}}`+"\n", `{"name":"order.created","payload":{"order":{"id":"`+strings.Repeat("x", 1000)+`"}}}`+"\n"
	for name, body := range map[string]string{
		"small":    strings.Repeat(small, 1000),
		"ordinary": strings.Repeat(ordinary, 1000),
		"one":      small,
		"names":    `{"name":"a.b","payload":` + distinct(20_000) + `}`,
	} {
		const calls = 20
		log := new(kept)
		s := publish.New(log, settings.Default())
		held := int64(0)
		for range calls {
			given := []byte(body)
			before := heap()
			if _, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.NDJSON, Body: given}); err != nil {
				t.Fatal(err)
			}
			held += heap() - before
		}
		runtime.KeepAlive(log)
		weight := publish.Weight([]byte(body), 1000)
		if held/calls > weight {
			t.Errorf("%s: a call holds %d bytes beside its body of %d, more than its weight of %d", name, held/calls, len(body), weight)
		}
		if weight > 20*int64(len(body))+1024 { // many small events weigh most
			t.Errorf("%s: a body of %d bytes weighs %d", name, len(body), weight)
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Large bodies are parsed only as many at a time as there are processors.
func TestFewLargeBodiesAreParsedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := publish.New(new(dropped), settings.Default())
		large := `{"name":"a.b","payload":{"x":"` + strings.Repeat("x", 100_000) + `"}}`
		leave := s.OccupyParsersForTest()
		var parsed atomic.Int32
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				if _, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte(large)}); err != nil {
					t.Error(err)
				}
				parsed.Add(1)
			})
		}
		synctest.Wait()
		if n := parsed.Load(); n != 0 {
			t.Errorf("%d large bodies were parsed beside as many as may be", n)
		}
		if _, err := s.Publish(t.Context(), publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte(`{"name":"a.b","payload":{}}`)}); err != nil {
			t.Error(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Publish(gone, publish.Call{Tenant: "acme", Format: publish.JSON, Body: []byte(large)}); err == nil {
			t.Error("a call that has ended was published")
		}
		leave()
		calls.Wait()
	})
}
