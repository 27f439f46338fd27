package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// parts are the processes that this program starts from its own executable, by
// first argument. The second argument is their configuration, as JSON.
var parts = map[string]partFunc{
	"part-receivers": receiversPart,
	"part-loop":      loopPart,
	"part-publisher": publisherPart,
	"part-bucket":    bucketPart,
	"part-crowd":     crowdPart,
	"part-node":      nodePart,
}

// partFunc runs until ctx ends. Its messages go to the parent.
type partFunc func(ctx context.Context, config []byte, say func(any) error) error

// runPart runs a part until its standard input closes, which happens however the
// parent exits.
func runPart(ctx context.Context, part partFunc, config string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return part(ctx, []byte(config), json.NewEncoder(os.Stdout).Encode)
}

// process is a running process, a part or the node.
type process struct {
	cmd     *exec.Cmd
	in      io.Closer
	answers *json.Decoder
	exited  chan struct{}
	err     error // valid once exited is closed
}

// startPart starts a part and decodes its first message into ready, unless that
// is nil.
func startPart(ctx context.Context, name string, config, ready any) (*process, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, name, string(text))
	cmd.Stderr = os.Stderr
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	if ready == nil {
		return p, nil
	}
	if err := p.answers.Decode(ready); err != nil {
		p.end()
		return nil, fmt.Errorf("%s did not start: %w", name, errors.Join(err, p.err))
	}
	return p, nil
}

func start(cmd *exec.Cmd) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = writer
	// A separate process group keeps Ctrl-C from the part; the parent ends it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Start()
	_ = writer.Close()
	if err != nil {
		_ = reader.Close()
		return nil, err
	}
	p := &process{cmd: cmd, in: in, answers: json.NewDecoder(reader), exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// pid returns the process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// finish ends a part and decodes its last message into result.
func (p *process) finish(result any) error {
	_ = p.in.Close()
	err := p.answers.Decode(result)
	<-p.exited
	return errors.Join(err, p.err)
}

// end stops the process, and kills it if that takes too long. It may be called
// more than once.
func (p *process) end() {
	_ = p.in.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(12 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}
