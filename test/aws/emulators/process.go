package emulators

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// startTime limits how long an emulator may take to start. Only a failure takes
// that long.
const startTime = 2 * time.Minute

// keeper runs the command given to it and kills it when standard input closes:
// when the test process stops it or exits, which closes the pipe even if it is
// killed. It ignores interrupts from the terminal; the test process handles them.
const keeper = `trap '' HUP INT TERM
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ cat <&3; kill -9 "$child"; } >/dev/null 2>&1 &
wait "$child"`

// process is a running emulator.
type process struct {
	url   string
	stdin io.Closer
	ended chan struct{}
}

// start returns once the emulator reports that it listens.
func start(c command) (*process, error) {
	args := append([]string{"-c", keeper, "sh"}, c.args...)
	cmd := exec.CommandContext(context.Background(), "/bin/sh", args...) // it outlives the test that asks for it
	// Keep the user's AWS configuration and proxy settings away from it.
	cmd.Env = slices.Concat(c.env, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()})
	out := &output{ready: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = out, out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{stdin: stdin, ended: make(chan struct{})}
	var exit error
	go func() {
		if exit = cmd.Wait(); exit == nil {
			exit = errors.New("exit status 0")
		}
		close(p.ended)
	}()
	timeout := time.NewTimer(startTime)
	defer timeout.Stop()
	select {
	case p.url = <-out.ready:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("it ended at its start (%w):\n%s", exit, out)
	case <-timeout.C:
		p.stop()
		return nil, fmt.Errorf("it did not listen within %v:\n%s", startTime, out)
	}
}

// stop kills the emulator and waits until it has exited. It may be called again.
func (p *process) stop() {
	_ = p.stdin.Close() // closed already where it was stopped before
	<-p.ended
}

// output receives what an emulator writes: it finds the line with its URL, and
// keeps the end for an error message.
type output struct {
	ready chan string

	mu    sync.Mutex
	text  []byte
	found bool
}

const kept = 8 << 10

// Write keeps the text.
func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, text...)
	if !o.found {
		o.find()
	}
	if len(o.text) > 2*kept {
		o.text = append(o.text[:0], o.text[len(o.text)-kept:]...)
	}
	return len(text), nil
}

func (o *output) find() {
	for line := range bytes.Lines(o.text) {
		url, is := bytes.CutPrefix(line, []byte("ready "))
		if is && bytes.HasSuffix(url, []byte("\n")) {
			o.found = true
			o.ready <- string(bytes.TrimSpace(url))
			return
		}
	}
}

// String returns the end of what was written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
