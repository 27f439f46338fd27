package lambdahost_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/aws/lambdahost"
)

var bootstrap string

// asHost makes the test binary start a function, leave it frozen and wait to be
// killed.
const asHost = "LAMBDAHOST_TEST_FREEZE"

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if path := os.Getenv(asHost); path != "" {
		return freezeAndWait(path)
	}
	dir, err := os.MkdirTemp("", "lambdahost-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bootstrap = filepath.Join(dir, "bootstrap")
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/bootstrap")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// answer is the response of testdata/bootstrap, or Lambda's error.
type answer struct {
	Text     string
	PID      int
	Calls    int
	Ticks    int64
	Deadline int64
	ARN      string
	ID       string
	Trace    string
	Memory   string

	ErrorType    string
	ErrorMessage string
	StackTrace   []any
}

type ask struct {
	Do   string `json:"do"`
	Text string `json:"text,omitempty"`
	Size int    `json:"size,omitempty"`
	MS   int    `json:"ms,omitempty"`
}

type rig struct {
	*lambdahost.Host
	t *testing.T
}

func newRig(t *testing.T, f lambdahost.Function) rig {
	t.Helper()
	h := lambdahost.New(lambdahost.Options{})
	t.Cleanup(h.Close)
	f.Name, f.Path = "fn", bootstrap
	f.Timeout = cmp.Or(f.Timeout, time.Minute) // only a test of the timeout needs a short one
	if err := h.AddFunction(f); err != nil {
		t.Fatal(err)
	}
	return rig{h, t}
}

func (r rig) try(a ask) (lambdahost.Result, answer, error) {
	payload, err := json.Marshal(a)
	if err != nil {
		r.t.Error(err)
	}
	got, err := r.Invoke(context.Background(), "fn", payload)
	var ans answer
	if err == nil {
		if err := json.Unmarshal(got.Payload, &ans); err != nil {
			r.t.Errorf("the payload %q: %v", got.Payload, err)
		}
	}
	return got, ans, err
}

func (r rig) ask(a ask) (lambdahost.Result, answer) {
	r.t.Helper()
	got, ans, err := r.try(a)
	if err != nil {
		r.t.Fatalf("%s: %v", a.Do, err)
	}
	return got, ans
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	r := newRig(t, lambdahost.Function{MemoryMB: 512, Timeout: 20 * time.Second})
	before := time.Now()
	cold, first := r.ask(ask{Do: "echo", Text: "hello"})
	warm, second := r.ask(ask{Do: "echo", Text: "again"})
	if first.Text != "hello" || second.Text != "again" || cold.FunctionError+warm.FunctionError != "" {
		t.Errorf("answers %+v, %+v", first, second)
	}
	if first.PID != second.PID || second.Calls != 2 {
		t.Errorf("the second call was not of the same process: %+v", second)
	}
	if cold.InitDuration <= 0 || warm.InitDuration != 0 {
		t.Errorf("init took %v, then %v", cold.InitDuration, warm.InitDuration)
	}
	if warm.Duration <= 0 || warm.BilledMS < 1 || time.Duration(warm.BilledMS)*time.Millisecond < warm.Duration {
		t.Errorf("duration %v, billed %d ms", warm.Duration, warm.BilledMS)
	}
	deadline := time.UnixMilli(first.Deadline)
	if deadline.Before(before.Add(19*time.Second)) || deadline.After(time.Now().Add(20*time.Second)) {
		t.Errorf("the deadline is %v", deadline)
	}
	if first.ARN != "arn:aws:lambda:eu-west-1:123456789012:function:fn" || first.Memory != "512" ||
		first.ID != cold.RequestID || first.ID == second.ID || !strings.HasPrefix(first.Trace, "Root=1-") {
		t.Errorf("the function got %+v", first)
	}
	s := r.Stats("fn")
	if s.Invocations != 2 || s.BilledMS != cold.BilledMS+warm.BilledMS || s.CPU != cold.CPU+warm.CPU {
		t.Errorf("stats %+v", s)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		fn            lambdahost.Function
		ask           ask
		kind, message string
		coldAfter     bool
	}{
		{"error", lambdahost.Function{}, ask{Do: "error", Text: "no such key"}, "errorString", "no such key", false},
		{"panic", lambdahost.Function{}, ask{Do: "panic", Text: "oh no"}, "string", "oh no", true},
		{"exit", lambdahost.Function{}, ask{Do: "exit"}, "Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: exit status 3", true},
		{
			"timeout",
			lambdahost.Function{Timeout: 3 * time.Second}, // the next call must make it in that time
			ask{Do: "sleep", MS: 60_000},
			"Sandbox.Timedout", "RequestId: %s Error: Task timed out after 3.00 seconds", true,
		},
		{
			"exit at start",
			lambdahost.Function{Env: map[string]string{"START": "exit"}},
			ask{Do: "echo"},
			"Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: exit status 4", true,
		},
		{"reported at start", lambdahost.Function{Env: map[string]string{"START": "report"}}, ask{Do: "echo"}, "Function.Setup", "no table", true},
		{
			"large response",
			lambdahost.Function{},
			ask{Do: "large", Size: 7 << 20},
			"Function.ResponseSizeTooLarge", "maximum allowed payload size", true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.fn)
			got, ans := r.ask(c.ask)
			if got.FunctionError != "Unhandled" || ans.ErrorType != c.kind {
				t.Errorf("got %q, %+v", got.FunctionError, ans)
			}
			if want := strings.ReplaceAll(c.message, "%s", got.RequestID); !strings.Contains(ans.ErrorMessage, want) {
				t.Errorf("the message is %q, want %q", ans.ErrorMessage, want)
			}
			if c.kind == "string" && len(ans.StackTrace) == 0 {
				t.Error("a panic has no stack trace")
			}
			if c.fn.Env != nil {
				return
			}
			next, ans := r.ask(ask{Do: "echo", Text: "fine"})
			if cold := next.InitDuration > 0; cold != c.coldAfter || ans.Text != "fine" {
				t.Errorf("the next call is cold: %v; %+v", cold, ans)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, lambdahost.Function{})
	for _, c := range []struct {
		name    string
		payload []byte
		status  int
		code    string
	}{
		{"nobody", []byte("{}"), 404, "ResourceNotFoundException"},
		{"fn", make([]byte, 7<<20), 413, "RequestTooLargeException"},
	} {
		_, err := r.Invoke(t.Context(), c.name, c.payload)
		var refused *lambdahost.Error
		if !errors.As(err, &refused) || refused.Status != c.status || refused.Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := r.AddFunction(lambdahost.Function{Name: "fn", Path: bootstrap}); err == nil {
		t.Error("a name was used twice")
	}
	if err := r.AddFunction(lambdahost.Function{Name: "other", Path: bootstrap + "-not"}); err == nil {
		t.Error("a function without a bootstrap was accepted")
	}
	result, failed, err := r.Invoker().Invoke(t.Context(), r.ARN("fn")+":live", []byte(`{"do":"echo","text":"by arn"}`))
	if err != nil || failed != "" || !strings.Contains(string(result), "by arn") {
		t.Errorf("by its ARN: %s %s %v", result, failed, err)
	}
}

// The process is frozen between invocations.
func TestFrozen(t *testing.T) {
	t.Parallel()
	r := newRig(t, lambdahost.Function{})
	_, first := r.ask(ask{Do: "tick"})
	if state := stateOf(first.PID); state != "T" && state != "?" {
		t.Errorf("the process is in state %s", state)
	}
	if err := r.AddFunction(lambdahost.Function{Name: "other", Path: bootstrap}); err != nil {
		t.Fatal(err)
	}
	// The goroutine must not run during this time.
	if _, err := r.Invoke(t.Context(), "other", []byte(`{"do":"sleep","ms":100}`)); err != nil {
		t.Error(err)
	}
	_, second := r.ask(ask{Do: "echo"})
	if second.PID != first.PID || second.Ticks > 50 {
		t.Errorf("a goroutine went on between invocations: %+v", second)
	}
	_, third := r.ask(ask{Do: "sleep", MS: 100})
	if third.Ticks <= second.Ticks {
		t.Errorf("a goroutine did not go on within an invocation: %+v, %+v", second, third)
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	r := newRig(t, lambdahost.Function{Timeout: time.Minute})
	var wait sync.WaitGroup
	var pids [2]int
	for i := range pids {
		wait.Go(func() {
			_, ans, err := r.try(ask{Do: "sleep", Text: "now", MS: 400})
			if err != nil {
				t.Error(err)
			}
			pids[i] = ans.PID
		})
	}
	r.await("sleeping", 2)
	wait.Wait()
	if pids[0] == pids[1] {
		t.Errorf("both ran in process %d", pids[0])
	}
	if _, ans := r.ask(ask{Do: "echo"}); ans.PID != pids[0] && ans.PID != pids[1] {
		t.Errorf("a third process was started")
	}
}

func TestKillAndRecycle(t *testing.T) {
	t.Parallel()
	r := newRig(t, lambdahost.Function{Timeout: time.Minute})
	_, idle := r.ask(ask{Do: "echo"})
	if n := r.Kill("fn"); n != 0 {
		t.Errorf("%d were killed although none was busy", n)
	}
	done := make(chan answer, 1)
	go func() {
		_, ans, _ := r.try(ask{Do: "sleep", Text: "long", MS: 60_000})
		done <- ans
	}()
	r.await("sleeping", 1)
	if n := r.Kill("fn"); n != 1 {
		t.Errorf("%d were killed", n)
	}
	if ans := <-done; ans.ErrorType != "Runtime.ExitError" || !strings.HasSuffix(ans.ErrorMessage, "signal: killed") {
		t.Errorf("the killed one gave %+v", ans)
	}
	_, second := r.ask(ask{Do: "echo"})
	if second.PID == idle.PID || second.Calls != 1 {
		t.Errorf("after the kill: %+v", second)
	}
	r.Recycle("fn")
	got, third := r.ask(ask{Do: "echo"})
	if third.PID == second.PID || got.InitDuration == 0 {
		t.Errorf("after the recycling: %+v", third)
	}
	if state := stateOf(second.PID); state != "gone" && state != "?" {
		t.Errorf("the recycled process is in state %s", state)
	}
}

func TestLogAndMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, lambdahost.Function{})
	small, _ := r.ask(ask{Do: "print", Text: "a line"})
	if got := string(r.Log("fn")); got != "a line\na line too\n" {
		t.Errorf("the log is %q", got)
	}
	large, _ := r.ask(ask{Do: "hold", Size: 64 << 20})
	if small.MaxRSS != 0 && large.MaxRSS < small.MaxRSS+60<<20 {
		t.Errorf("peaks of %d and %d bytes", small.MaxRSS, large.MaxRSS)
	}
	r.Close()
	if got := string(r.Log("fn")); got != "a line\na line too\n" {
		t.Errorf("the log after the end is %q", got)
	}
	if _, err := r.Invoke(t.Context(), "fn", nil); err == nil {
		t.Error("a closed host invokes")
	}
}

// If the caller disconnects, the function still finishes.
func TestCallerHangsUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, lambdahost.Function{Timeout: time.Minute})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.Invoke(ctx, "fn", []byte(`{"do":"sleep","text":"x","ms":200}`))
		done <- err
	}()
	r.await("sleeping", 1)
	gone := errors.New("gone")
	cancel(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("the caller got %v", err)
	}
	r.until("the function has finished", func() bool { return r.Stats("fn").Invocations == 1 })
	if _, ans := r.ask(ask{Do: "echo"}); ans.Calls != 2 {
		t.Errorf("the process was not used again: %+v", ans)
	}
}

// A frozen process ends when the test process is killed.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asHost+"="+bootstrap)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, atoi := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || atoi != nil {
		t.Fatalf("the host printed %q, %v", line, err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the function's process does not exist: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	rig{t: t}.until("the function's process has ended", func() bool {
		if state := stateOf(pid); state != "?" {
			return state == "gone" || state == "Z" // a zombie is good enough
		}
		return syscall.Kill(pid, 0) != nil
	})
}

func freezeAndWait(path string) int {
	h := lambdahost.New(lambdahost.Options{})
	err := h.AddFunction(lambdahost.Function{Name: "fn", Path: path})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	got, err := h.Invoke(context.Background(), "fn", []byte(`{"do":"echo"}`))
	var ans answer
	if err == nil {
		err = json.Unmarshal(got.Payload, &ans)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(ans.PID)
	select {}
}

// await waits until the log has the text n times.
func (r rig) await(text string, n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("the log says %q %d times", text, n), func() bool {
		return strings.Count(string(r.Log("fn")), text) >= n
	})
}

func (r rig) until(what string, holds func() bool) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			r.t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// stateOf returns the kernel's letter for the state of the process, "gone", or "?"
// if it is unknown.
func stateOf(pid int) string {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return "?"
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "gone"
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}
