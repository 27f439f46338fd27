package contract

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
)

// accepted is the name of the events that the receiver accepts. It rejects all others.
const accepted = "order.created"

// node is a process of the binary. All that it sends goes to one receiver, whatever URL an
// integration has: to its egress proxy.
type node struct {
	url, data string
	logged    chan []string // all lines of its log, once it has ended
}

func startNode(t *testing.T, env ...string) *node {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(receive))
	t.Cleanup(receiver.Close)
	n := &node{data: filepath.Join(t.TempDir(), "data"), logged: make(chan []string, 1)}
	cmd := exec.Command(binary, "serve", "--dev", "--addr", "127.0.0.1:0", "--data", n.data)
	cmd.Env = append(os.Environ(), append(env, "SLUICE_EGRESS_PROXY="+receiver.URL, "SLUICE_RETRY_MAX=1s")...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	listening := make(chan string, 1)
	go n.follow(log, listening)
	if n.url = <-listening; n.url == "" {
		t.Fatalf("the node ended:\n%s", strings.Join(<-n.logged, "\n"))
	}
	return n
}

// follow reads the log to its end, and tells where the node listens, or "" if it ends before.
func (n *node) follow(log io.Reader, listening chan<- string) {
	var lines []string
	for in := bufio.NewScanner(log); in.Scan(); {
		lines = append(lines, in.Text())
		var line struct{ Msg, Addr string }
		if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "listening" {
			listening <- "http://" + line.Addr
		}
	}
	close(listening)
	n.logged <- lines
}

// receive is every webhook without TLS. Others cannot be reached, and there are no buckets.
func receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusBadGateway)
	case !strings.Contains(string(body), `"name":"`+accepted+`"`):
		w.WriteHeader(http.StatusBadRequest)
	}
}

// token returns an access token of the node's own key.
func (n *node) token(t *testing.T, tenant string, scopes ...string) string {
	t.Helper()
	key, err := auth.OpenOwnKey(filepath.Join(n.data, auth.OwnKeyName))
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Sign(tenant, scopes, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}
