package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const examples = "../../examples/receivers"

// example is a receiver of examples/receivers.
type example struct {
	name, dir string
	needs     string // a file in dir that its installation makes
	command   []string
}

var exampleReceivers = []example{
	{"python", "python", ".venv/stamp", []string{".venv/bin/python", "receiver.py"}},
	{"fastapi", "python", ".venv/stamp", []string{".venv/bin/python", "-m", "uvicorn", "receiver_fastapi:app", "--port", "0", "--timeout-keep-alive", "60", "--no-access-log"}},
	{"node", "node", "node_modules/stamp", []string{"node", "receiver.js"}},
	{"go", "go", "go.sum", nil}, // built by the test
}

// program is the process of an example. It prints a line for each event: what became
// of it, its id and its name.
type program struct {
	t       *testing.T
	dir     string
	command []string
	inbox   string
	out     *os.File // of all its processes
	cmd     *exec.Cmd
	exited  chan struct{}
	url     string
}

func newProgram(t *testing.T, e example) *program {
	t.Helper()
	p := &program{t: t, dir: filepath.Join(examples, e.dir), command: e.command, inbox: filepath.Join(t.TempDir(), "inbox")}
	if path := filepath.Join(p.dir, e.needs); !isFile(path) {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing: run 'make receivers'", path)
		}
		t.Skipf("%s is missing: run 'make receivers', which needs Python 3.11 and Node.js 18", path)
	}
	if p.command == nil {
		p.command = []string{filepath.Join(t.TempDir(), "receiver")}
		build := exec.CommandContext(t.Context(), "go", "build", "-o", p.command[0], ".")
		build.Dir, build.Env = p.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	var err error
	if p.out, err = os.Create(filepath.Join(t.TempDir(), "out")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the receiver printed:\n%.8000s", p.text())
		}
		_ = p.out.Close()
	})
	return p
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

var loopbackURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start starts the program with a secret, in place of the process before.
func (p *program) start(secret string) {
	p.t.Helper()
	p.stop()
	from := len(p.text())
	p.cmd = exec.Command(p.command[0], p.command[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, p.out, p.out
	p.cmd.Env = environ(map[string]string{"WEBHOOK_SECRET": secret, "PORT": "0", "INBOX": p.inbox, "PYTHONDONTWRITEBYTECODE": "1"})
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	p.exited = exited
	until(p.t, "the receiver listens", func() bool {
		select {
		case <-exited:
			p.t.Fatalf("the receiver ended: %s", p.text()[from:])
		default:
		}
		p.url = loopbackURL.FindString(p.text()[from:])
		return p.url != ""
	})
}

func (p *program) stop() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
		p.cmd = nil
	}
}

func (p *program) text() string {
	text, err := os.ReadFile(p.out.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// said are the ids on the lines that begin with a word.
func (p *program) said(word string) []string {
	var ids []string
	for line := range strings.Lines(p.text()) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == word {
			ids = append(ids, fields[1])
		}
	}
	return ids
}

func count(ids []string, id string) int {
	return len(slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return other != id }))
}

// wire is between a node and a receiver: it passes the calls on, and keeps them.
type wire struct {
	url     string
	program *program

	mu    sync.Mutex
	calls []wireCall
}

type wireCall struct {
	id     string
	header http.Header
	body   []byte
	status int // of the response
}

func newWire(t *testing.T, p *program) *wire {
	w := &wire{program: p}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *wire) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the node cancelled the call
	}
	w.mu.Lock() // also holds up calls while the program is replaced
	defer w.mu.Unlock()
	status, err := send(req.Context(), w.program.url, req.Header, body)
	if err != nil {
		status = http.StatusBadGateway
	}
	w.calls = append(w.calls, wireCall{req.Header.Get("Webhook-Id"), req.Header, body, status})
	rw.WriteHeader(status)
}

// send makes a call as it is, and returns the status of its response.
func send(ctx context.Context, url string, header http.Header, body []byte) (int, error) {
	return sendAfter(ctx, func() {}, url, header, body)
}

// sendAfter calls connected before it sends the body.
func sendAfter(ctx context.Context, connected func(), url string, header http.Header, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.MultiReader(empty(connected), bytes.NewReader(body)))
	if err != nil {
		return 0, err
	}
	req.Header, req.ContentLength = header.Clone(), int64(len(body))
	res, err := httpClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// empty is a reader of nothing that calls a function first.
type empty func()

func (e empty) Read([]byte) (int, error) {
	e()
	return 0, io.EOF
}

// of are the calls of an event with a status so far.
func (w *wire) of(id string, status int) []wireCall {
	return slices.DeleteFunc(w.all(), func(c wireCall) bool { return c.id != id || c.status != status })
}

func (w *wire) all() []wireCall {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// replace starts the program with another secret. No call is in progress meanwhile.
func (w *wire) replace(secret string) {
	w.program.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.program.start(secret)
}
