package lambdahost

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// environment is one process of a function, with its own Runtime API.
type environment struct {
	fn       *function
	life     int // the function's life when the process started
	cmd      *exec.Cmd
	server   *http.Server
	started  time.Time
	polls    chan time.Time   // the process polls for its next invocation
	work     chan *invocation // and receives it from here
	failed   chan []byte      // it reports that it could not start
	dead     chan struct{}    // closed when the process has ended
	gone     chan struct{}    // closed when all of it is cleaned up
	exit     error            // of the process, once it is dead
	killOnce sync.Once
	spent    time.Duration // CPU time of the process up to the end of its last invocation; owned by the current invocation

	mu      sync.Mutex
	current *invocation
}

// newEnvironment starts the process. The caller holds the function's lock.
func newEnvironment(f *function) (*environment, error) {
	if err := f.host.guard.start(); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &environment{
		fn:     f,
		life:   f.life,
		polls:  make(chan time.Time, 1),
		work:   make(chan *invocation),
		failed: make(chan []byte, 1),
		dead:   make(chan struct{}),
		gone:   make(chan struct{}),
	}
	e.server = &http.Server{Handler: e.runtimeAPI(), ReadHeaderTimeout: time.Minute}
	e.cmd = exec.CommandContext(context.Background(), f.Path)
	e.cmd.Dir = filepath.Dir(f.Path)
	e.cmd.Env = f.environ(listener.Addr().String())
	e.cmd.Stdout, e.cmd.Stderr = f.log, f.log
	e.started = time.Now()
	if err := e.cmd.Start(); err != nil {
		_ = listener.Close()
		return nil, err
	}
	f.host.guard.add(e.cmd.Process.Pid)
	go e.server.Serve(listener) //nolint:errcheck // it ends when it is closed
	go e.wait()
	return e, nil
}

func (e *environment) wait() {
	e.exit = e.cmd.Wait()
	close(e.dead)
	e.fn.host.guard.remove(e.cmd.Process.Pid)
	_ = e.server.Close()
	close(e.gone)
}

func (e *environment) kill() {
	e.killOnce.Do(func() {
		_ = e.cmd.Process.Kill() // it has ended by itself otherwise
	})
}

func (e *environment) alive() bool {
	select {
	case <-e.dead:
		return false
	default:
		return true
	}
}

func (e *environment) busy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current != nil
}

func (e *environment) setCurrent(i *invocation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = i
}

// freeze stops the whole process; thaw resumes it.
func (e *environment) freeze() {
	if e.signal(syscall.SIGSTOP) {
		awaitStop(e.cmd.Process.Pid)
	}
}

func (e *environment) thaw() { e.signal(syscall.SIGCONT) }

func (e *environment) signal(s syscall.Signal) bool {
	err := e.cmd.Process.Signal(s)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		e.kill()
	}
	return err == nil
}

// exitReason returns how the process ended, in Lambda's words.
func (e *environment) exitReason() string {
	if e.exit == nil {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + e.exit.Error()
}

// peakRSS returns the peak memory of the process, in bytes; 0 without /proc.
func (e *environment) peakRSS() int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(e.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		return kb << 10
	}
	return 0
}
