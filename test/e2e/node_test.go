package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
)

// waitLimit limits the wait for an expected effect. Only a failure takes that long, or a
// machine that others keep busy: nodes with the race detector are several times slower.
const waitLimit = 2 * time.Minute

// fast are settings that make waiting short.
// The sweep keeps its interval: nothing may depend on it.
var fast = map[string]string{
	"SLUICE_RETRY_MIN":        "50ms",
	"SLUICE_RETRY_MAX":        "500ms",
	"SLUICE_WEBHOOK_TIMEOUT":  "2s",
	"SLUICE_FOLLOW_BUDGET":    "1s",
	"SLUICE_S3_FILE_INTERVAL": "1s",
	"SLUICE_S3_FILE_BYTES":    "64KiB",
	"SLUICE_LOG_LEVEL":        "debug",
}

// node is a process of the binary, which can be ended and started again.
type node struct {
	t      *testing.T
	binary string
	data   string
	env    map[string]string // settings
	args   []string
	stderr *os.File // of all its processes
	addr   string
	cmd    *exec.Cmd
	exited chan struct{}
}

// newNode starts a node in a new directory.
func newNode(t *testing.T, binary string, env map[string]string, args ...string) *node {
	t.Helper()
	n := &node{t: t, binary: binary, data: filepath.Join(t.TempDir(), "data"), env: env, args: args}
	n.open()
	n.start()
	return n
}

func (n *node) open() {
	n.t.Helper()
	var err error
	if n.stderr, err = os.Create(filepath.Join(n.t.TempDir(), "stderr")); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if n.cmd != nil {
			n.kill()
		}
		n.checkStderr()
		_ = n.stderr.Close()
	})
}

// environ is that of the tests, without settings of Sluice's but these.
func environ(env map[string]string) []string {
	var all []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SLUICE_") {
			all = append(all, entry)
		}
	}
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	return all
}

// start starts the process, at the address it had before, and returns when it
// responds.
func (n *node) start() {
	n.t.Helper()
	addr := n.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	from, err := n.stderr.Seek(0, 2)
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd = exec.Command(n.binary, append([]string{"serve", "--addr", addr, "--data", n.data}, n.args...)...)
	n.cmd.Env = environ(n.env)
	n.cmd.Stderr = n.stderr
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.exited = make(chan struct{})
	go func() {
		_ = n.cmd.Wait()
		close(n.exited)
	}()
	n.until("the node listens", func() bool {
		for _, line := range n.lines(from) {
			if line["msg"] == "listening" {
				if n.addr == "" {
					n.addr, _ = line["addr"].(string)
				}
				return true
			}
		}
		select {
		case <-n.exited:
			n.t.Fatalf("the node ended: %s", n.text(from))
		default:
		}
		return false
	})
}

// kill ends the process as a power failure of it alone would.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.exited
}

// end asks the process to end, and returns its exit code and how long it took.
func (n *node) end() (int, time.Duration) {
	n.t.Helper()
	began := time.Now()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	select {
	case <-n.exited:
	case <-time.After(waitLimit):
		n.t.Fatal("the node does not end")
	}
	return n.cmd.ProcessState.ExitCode(), time.Since(began)
}

func (n *node) url() string { return "http://" + n.addr }

// text is what was written to stderr from an offset on.
func (n *node) text(from int64) string {
	all, err := os.ReadFile(n.stderr.Name())
	if err != nil {
		n.t.Fatal(err)
	}
	return string(all[min(from, int64(len(all))):])
}

// lines are the log lines from an offset on.
func (n *node) lines(from int64) []map[string]any {
	var lines []map[string]any
	scanner := bufio.NewScanner(strings.NewReader(n.text(from)))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// checkStderr fails the test if the node wrote anything but log lines: a panic,
// or what the race detector says.
func (n *node) checkStderr() {
	n.t.Helper()
	for line := range bytes.Lines([]byte(n.text(0))) {
		if !json.Valid(line) {
			_, rest, _ := strings.Cut(n.text(0), string(line))
			n.t.Errorf("the node wrote something that is no log line: %s%.4000s", line, rest)
			return
		}
	}
}

// noErrors fails the test if there are log lines of level ERROR, but for work
// that was in flight when its integration was deleted.
func (n *node) noErrors() {
	n.t.Helper()
	for _, line := range n.lines(0) {
		cause, _ := line["error"].(string)
		if line["level"] == "ERROR" && !strings.HasPrefix(cause, "There is no ") {
			n.t.Errorf("the node logged an error: %v", line)
		}
	}
}

// token returns an access token of the node's own key.
func (n *node) token(tenant string, scopes ...string) string {
	n.t.Helper()
	key, err := auth.OpenOwnKey(filepath.Join(n.data, auth.OwnKeyName))
	if err != nil {
		n.t.Fatal(err)
	}
	token, err := key.Sign(tenant, scopes, time.Hour, time.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	return token
}

// until polls until ok.
func (n *node) until(what string, ok func() bool) {
	n.t.Helper()
	until(n.t, what, ok)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(waitLimit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", waitLimit, what)
		}
	}
}

// output is what a command that ends by itself did.
type output struct {
	code           int
	stdout, stderr string
}

// run runs the binary to its end.
func run(t *testing.T, binary string, env map[string]string, stdin string, args ...string) output {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = environ(env)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return output{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

var httpClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
