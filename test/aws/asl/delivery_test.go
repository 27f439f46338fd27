package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/asl"
)

// Three days of back-off take three days, step by step, and none is left out.
func TestDaysOfBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const days, pause = 3, 300
		began := time.Now()
		var at []time.Duration
		s := newService(t, asl.Options{}, steps(func(number int, s *step) error {
			at = append(at, time.Since(began))
			s.WaitSeconds = pause
			if number == days*24*60*60/pause+1 {
				s.Next = "done"
			}
			return nil
		}))
		start(t, s)
		time.Sleep(days*24*time.Hour + time.Second)
		synctest.Wait()
		for i, d := range at {
			if want := time.Duration(i) * pause * time.Second; d != want {
				t.Fatalf("step %d at %v, want %v", i, d, want)
			}
		}
		if n := days*24*60*60/pause + 1; len(at) != n {
			t.Errorf("%d steps, want %d", len(at), n)
		}
		for _, x := range executions(t, s) {
			if x.Status != asl.Succeeded {
				t.Errorf("execution %s is %s: %s", x.Name, x.Status, x.Cause)
			}
		}
	})
}

// A hundred thousand steps, fewer where each is made slow, are made by one execution at a time, each renewed
// before its history is full, with all of its data.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := 100_000
		if underRaceDetector() {
			many = 20_000
		}
		var s *asl.Service
		made := 0
		s = newService(t, asl.Options{}, steps(func(number int, got *step) error {
			made = number
			want := first
			want.Count, want.Renewal = got.Count, got.Renewal
			if *got != want {
				t.Errorf("step %d was given %+v, want %+v", number, *got, want)
			}
			if number%500 == 1 {
				synctest.Wait() // the one that was renewed has ended
				if n := running(t, s); n != 1 {
					t.Errorf("at step %d %d executions run", number, n)
				}
			}
			if number == many {
				got.Next = "done"
			}
			return nil
		}))
		start(t, s)
		time.Sleep(time.Second)
		synctest.Wait()
		if made != many {
			t.Errorf("%d steps, want %d", made, many)
		}
		all := executions(t, s)
		if len(all) != many/limit {
			t.Errorf("%d executions, want %d", len(all), many/limit)
		}
		for i, x := range all {
			if want := fmt.Sprintf("orders-%d", i*limit); x.Name != want || x.Status != asl.Succeeded {
				t.Fatalf("execution %d is %s, %s: %s %s", i, x.Name, x.Status, x.Error, x.Cause)
			}
			// The start, 9 for each step, 5 of the renewal, 2 of Done, the end.
			if want := 1 + limit*9 + 5 + 2 + 1; x.Events != want && i < len(all)-1 {
				t.Fatalf("the history of %s has %d events, want %d", x.Name, x.Events, want)
			}
		}
	})
}

// Even if each step, and the renewal, needs its last retry, the history does
// not fill up.
func TestWorstHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 0
		s := newService(t, asl.Options{}, steps(func(number int, s *step) error {
			if failures++; failures%(retries+1) != 0 {
				return errors.New("the store is down")
			}
			if number > limit {
				s.Next = "done"
			}
			return nil
		}))
		tries := 0
		renew := s.Task(asl.StartResource)
		s.SetTask(asl.StartResource, func(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
			if tries++; tries <= retries {
				return nil, &asl.Error{Name: "StepFunctions.SdkClientException", Cause: "down too"}
			}
			return renew(ctx, input)
		})
		start(t, s)
		time.Sleep(2 * 365 * 24 * time.Hour)
		synctest.Wait()
		all := executions(t, s)
		if len(all) != 2 || all[0].Status != asl.Succeeded || all[1].Status != asl.Succeeded {
			t.Fatalf("executions %+v", all)
		}
		if want := 1 + limit*(9+3*retries) + 5 + 3*retries + 2 + 1; all[0].Events != want || want > asl.MaxEvents*3/5 {
			t.Errorf("%d events, want %d", all[0].Events, want)
		}
	})
}

// Whatever goes wrong with the function, it is called again.
func TestFaultsAreRetried(t *testing.T) {
	const again = "again"
	hang := func(d time.Duration) func() ([]byte, string, error) {
		return func() ([]byte, string, error) {
			time.Sleep(d)
			return []byte(`{}`), "", nil
		}
	}
	called := func(name string) func() ([]byte, string, error) {
		return func() ([]byte, string, error) { return nil, "", &asl.Error{Name: name, Cause: again} }
	}
	failed := func(result string) func() ([]byte, string, error) {
		return func() ([]byte, string, error) { return []byte(result), "Unhandled", nil }
	}
	for name, c := range map[string]struct {
		fault func() ([]byte, string, error)
		takes time.Duration
	}{
		"throttled":             {called("Lambda.TooManyRequestsException"), 0},
		"service":               {called("Lambda.ServiceException"), 0},
		"AWS":                   {called("Lambda.AWSLambdaException"), 0},
		"client":                {called("Lambda.SdkClientException"), 0},
		"not deployed":          {called("Lambda.ResourceNotFoundException"), 0},
		"no connection":         {func() ([]byte, string, error) { return nil, "", errors.New(again) }, 0},
		"error of the function": {failed(`{"errorType":"Error","errorMessage":"The records cannot be read."}`), 0},
		"killed":                {failed(`{"errorType":"Runtime.ExitError","errorMessage":"signal: killed"}`), 0},
		"out of time":           {failed(`{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 180.00 seconds"}`), 0},
		"nothing of the kind":   {failed(`oops`), 0},
		"no answer":             {hang(time.Hour), 240 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var mu sync.Mutex // a call that nobody waits for any more goes on
				var at []time.Duration
				end := steps(func(_ int, s *step) error { s.Next = "done"; return nil })
				s := newService(t, asl.Options{Jitter: func() float64 { return 0.5 }}, func(ctx context.Context, payload []byte) ([]byte, string, error) {
					mu.Lock()
					at = append(at, time.Since(began))
					call := len(at)
					mu.Unlock()
					if call < 3 {
						return c.fault()
					}
					return end(ctx, payload)
				})
				start(t, s)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				want := []time.Duration{0, c.takes + 500*time.Millisecond, 2*c.takes + 1500*time.Millisecond}
				mu.Lock()
				defer mu.Unlock()
				if diff := cmp.Diff(want, at); diff != "" {
					t.Errorf("calls at (-want +got)\n%s", diff)
				}
				if x := executions(t, s)[0]; x.Status != asl.Succeeded {
					t.Errorf("%s: %s %s", x.Status, x.Error, x.Cause)
				}
			})
		})
	}
}

// A function that fails for long ends the execution, under the name of its
// last error.
func TestExhaustion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := newService(t, asl.Options{Jitter: func() float64 { return 0.5 }}, func(context.Context, []byte) ([]byte, string, error) {
			calls++
			return []byte(`{"errorType":"Unavailable","errorMessage":"The records cannot be read."}`), "Unhandled", nil
		})
		start(t, s)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		x := executions(t, s)[0]
		if x.Status != asl.Failed || x.Error != "Unavailable" || calls != retries+1 {
			t.Errorf("after %d calls %s: %s %s", calls, x.Status, x.Error, x.Cause)
		}
		// Half of 1, 2, 4 ... 256 and 7 times 300 seconds.
		if d, want := x.Stopped.Sub(x.Started), (511+7*300)*time.Second/2; d != want {
			t.Errorf("it gave up after %v, want %v", d, want)
		}
	})
}

// An answer that is none fails the execution at once and says why.
func TestMalformedAnswers(t *testing.T) {
	for name, c := range map[string]struct{ answer, cause string }{
		"null":            {`null`, "$.next"},
		"text":            {`"done"`, "$.next"},
		"not JSON":        {`done`, "$.next"},
		"empty":           {`{}`, "$.next"},
		"no count":        {`{"next":"wait","wait_seconds":1}`, "$.count"},
		"no wait":         {`{"next":"wait","count":1}`, "$.wait_seconds"},
		"part of seconds": {`{"next":"wait","count":1,"wait_seconds":1.5}`, "whole seconds"},
		"negative wait":   {`{"next":"wait","count":1,"wait_seconds":-1}`, "whole seconds"},
		"wait as text":    {`{"next":"wait","count":1,"wait_seconds":"1"}`, "whole seconds"},
		"unknown next":    {`{"next":"later","count":1,"wait_seconds":1}`, "different releases"},
		"no renewal":      {`{"next":"wait","count":250,"wait_seconds":1}`, "leads nowhere"},
		"renewal's name":  {`{"tenant":"a","integration":"b","lane":1,"version":"1","shadow":true,"next":"wait","count":250,"wait_seconds":1,"renewal":""}`, "no name"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				s := newService(t, asl.Options{}, func(context.Context, []byte) ([]byte, string, error) {
					calls++
					return []byte(c.answer), "", nil
				})
				start(t, s)
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				x := executions(t, s)[0]
				if x.Status != asl.Failed || !strings.Contains(x.Cause, c.cause) || calls != 1 {
					t.Errorf("after %d calls %s: %s %s, want %q", calls, x.Status, x.Error, x.Cause, c.cause)
				}
			})
		})
	}
}
