package lambdahost

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// guardScript keeps a list of processes ("+ 12", "- 12") and kills them when its
// input ends, so that they end even if the test process is killed: one that waits
// for the Runtime API would notice by itself, a frozen one never would. The guard
// runs in a separate process group, so that an interrupt from the terminal does not
// end it first.
const guardScript = `trap '' HUP INT TERM
pids=''
while read -r what pid; do
	rest=''
	for p in $pids; do
		[ "$p" = "$pid" ] || rest="$rest $p"
	done
	pids=$rest
	[ "$what" = - ] || pids="$pids $pid"
done
[ -z "$pids" ] || kill -9 $pids
`

type guard struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	input io.WriteCloser
}

// start starts the guard if it is not running.
func (g *guard) start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd != nil {
		return nil
	}
	cmd := exec.CommandContext(context.Background(), "sh", "-c", guardScript)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the guard of the functions' processes: %w", err)
	}
	g.cmd, g.input = cmd, input
	return nil
}

func (g *guard) add(pid int)    { g.tell("+", pid) }
func (g *guard) remove(pid int) { g.tell("-", pid) }

func (g *guard) tell(what string, pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.input != nil {
		fmt.Fprintln(g.input, what, pid) //nolint:errcheck // without the guard, Close still ends every process
	}
}

func (g *guard) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd == nil {
		return
	}
	_ = g.input.Close()
	_ = g.cmd.Wait() // it has nothing to tell
	g.cmd, g.input = nil, nil
}
