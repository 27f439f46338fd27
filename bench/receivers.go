package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// receiversReady is the first message of the receivers' process.
type receiversReady struct {
	Control string   // URL
	URLs    []string // of the receivers, each on its own port
}

// receiver accepts events: it drains the body and responds.
type receiver struct {
	count   atomic.Int64
	latency histogram    // from the time in the id to the call's arrival
	status  atomic.Int64 // of the responses
	delay   atomic.Int64 // before each, ns; negative: it never responds
}

// ServeHTTP handles one call.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if sent, ok := sentAt(req.Header.Get("Webhook-Id")); ok {
		r.latency.add(time.Since(sent))
	}
	_, _ = io.Copy(io.Discard, req.Body)
	if delay := time.Duration(r.delay.Load()); delay < 0 {
		<-req.Context().Done()
	} else if delay > 0 && sleep(req.Context(), delay) != nil {
		return
	}
	status := int(r.status.Load())
	if status == http.StatusOK || status == http.StatusBadRequest { // it ends the event
		r.count.Add(1)
	}
	w.WriteHeader(status)
}

// timedID returns a UUID that encodes a time and a number.
func timedID(at time.Time, number uint64) string {
	text := fmt.Sprintf("%016x%016x", uint64(at.UnixNano()), number)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// sentAt returns the time in a timedID.
func sentAt(id string) (time.Time, bool) {
	if len(id) != 36 {
		return time.Time{}, false
	}
	var ns [8]byte
	if _, err := hex.Decode(ns[:], []byte(id[:8]+id[9:13]+id[14:18])); err != nil {
		return time.Time{}, false
	}
	var n int64
	for _, b := range ns {
		n = n<<8 | int64(b)
	}
	return time.Unix(0, n), true
}

func receiversPart(ctx context.Context, config []byte, say func(any) error) error {
	var n int
	if err := json.Unmarshal(config, &n); err != nil {
		return err
	}
	var ready receiversReady
	all := make([]*receiver, n)
	for i := range all {
		all[i] = new(receiver)
		all[i].status.Store(http.StatusOK)
		at, err := serve(ctx, all[i])
		if err != nil {
			return err
		}
		ready.URLs = append(ready.URLs, at)
	}
	var err error
	if ready.Control, err = serve(ctx, controlOf(all)); err != nil {
		return err
	}
	if err := say(ready); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// serve serves h on a free port of loopback until the process ends, and returns
// its URL.
func serve(ctx context.Context, h http.Handler) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}

// controlOf returns a handler through which the parent inspects and changes the
// receivers.
func controlOf(all []*receiver) http.Handler {
	number := func(req *http.Request, name string) int {
		n, _ := strconv.Atoi(req.URL.Query().Get(name))
		return n
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		counts := make([]int64, len(all))
		for i := range all {
			counts[i] = all[i].count.Load()
		}
		_ = json.NewEncoder(w).Encode(counts)
	})
	mux.HandleFunc("GET /latency", func(w http.ResponseWriter, req *http.Request) {
		var sum histogram
		for _, r := range all[:number(req, "first")] {
			sum.merge(&r.latency)
		}
		_ = json.NewEncoder(w).Encode(&sum)
	})
	mux.HandleFunc("GET /reset", func(w http.ResponseWriter, _ *http.Request) {
		for _, r := range all {
			r.latency.reset()
		}
		_, _ = io.WriteString(w, "0")
	})
	mux.HandleFunc("GET /behave", func(w http.ResponseWriter, req *http.Request) {
		r := all[number(req, "receiver")]
		delay, _ := time.ParseDuration(req.URL.Query().Get("delay"))
		r.delay.Store(int64(delay))
		r.status.Store(int64(number(req, "status")))
		_, _ = io.WriteString(w, "0")
	})
	return mux
}

// ask fetches a JSON value from a part's HTTP server.
func ask(ctx context.Context, at string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	res, err := askClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return errors.New(at + " returned " + res.Status)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

var askClient = &http.Client{Timeout: 10 * time.Second}

// receivers is the parent's view of the receivers.
type receivers struct {
	*process
	receiversReady
}

func startReceivers(ctx context.Context, n int) (*receivers, error) {
	r := new(receivers)
	var err error
	r.process, err = startPart(ctx, "part-receivers", n, &r.receiversReady)
	return r, err
}

// counts returns how many events each receiver has accepted.
func (r *receivers) counts(ctx context.Context) ([]int64, error) {
	var counts []int64
	err := ask(ctx, r.Control+"/counts", &counts)
	return counts, err
}

// latency returns the latencies of the first n receivers since the last reset.
func (r *receivers) latency(ctx context.Context, n int) (*histogram, error) {
	h := new(histogram)
	return h, ask(ctx, r.Control+"/latency?first="+strconv.Itoa(n), h)
}

func (r *receivers) reset(ctx context.Context) error { return ask(ctx, r.Control+"/reset", new(int)) }

// behave makes a receiver respond with the status after the delay, or never if
// the delay is negative.
func (r *receivers) behave(ctx context.Context, receiver, status int, delay time.Duration) error {
	q := url.Values{"receiver": {strconv.Itoa(receiver)}, "status": {strconv.Itoa(status)}, "delay": {delay.String()}}
	return ask(ctx, r.Control+"/behave?"+q.Encode(), new(int))
}

func sum(counts []int64) int64 {
	n := int64(0)
	for _, c := range counts {
		n += c
	}
	return n
}

func lowest(counts []int64) int64 {
	n := counts[0]
	for _, c := range counts {
		n = min(n, c)
	}
	return n
}
