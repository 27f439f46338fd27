package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// mood is how a receiver responds for a while.
type mood int

const (
	well mood = iota
	failing
	slow
	hanging
)

// receivers is one server for the receivers of all lives, each below a path of its own.
type receivers struct {
	url string

	mu    sync.Mutex
	lives map[string]*life // by path
	count int
}

func startReceivers(ctx context.Context) (*receivers, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receivers{url: "http://" + listener.Addr().String(), lives: map[string]*life{}}
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return r, nil
}

// open gives a life a receiver and returns its URL. It stays after the deletion.
func (r *receivers) open(f *life) string {
	f.account = newAccount()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	path := fmt.Sprintf("/%s/%s/%d", f.tenant, f.id, r.count)
	r.lives[path] = f
	return r.url + path
}

// taken returns how many calls all receivers have got.
func (r *receivers) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, f := range r.lives {
		f.account.mu.Lock()
		n += f.account.calls
		f.account.mu.Unlock()
	}
	return n
}

// ServeHTTP handles one call of the node.
func (r *receivers) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	f := r.lives[req.URL.Path]
	r.mu.Unlock()
	var event struct {
		ID     string `json:"id"`
		Tenant string `json:"tenant"`
		Name   string `json:"name"`
	}
	if err := json.NewDecoder(req.Body).Decode(&event); f == nil || err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	switch f.account.now() {
	case failing:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case slow:
		pause(req.Context(), 20*time.Millisecond, 200*time.Millisecond)
	case hanging:
		pause(req.Context(), 5*time.Second, 15*time.Second)
	case well:
	}
	if req.Context().Err() == nil {
		w.WriteHeader(f.account.answer(f, event.ID, event.Tenant, event.Name))
	}
}

// answer notes an event and returns the status of the response.
func (a *account) answer(f *life, id, tenant, name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	n, ok := numberOf(id)
	if !ok || tenant != f.tenant || name != nameOf(n) {
		a.foreign = append(a.foreign, fmt.Sprintf("event %s (%s) of %s was sent to %s of %s", id, name, tenant, f.id, f.tenant))
		return http.StatusOK
	}
	if refusedAlways(n) {
		a.refused[n] = true
		return http.StatusBadRequest
	}
	a.taken[n] = true
	return http.StatusOK
}

func (a *account) now() mood {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Now().After(a.moodEnds) {
		return well
	}
	return a.mood
}

func (a *account) feel(m mood, d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mood, a.moodEnds = m, time.Now().Add(d)
}

// pause waits for a random time. It reports whether the context still runs.
func pause(ctx context.Context, least, most time.Duration) bool {
	timer := time.NewTimer(least + rand.N(most-least))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
