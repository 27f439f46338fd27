package operator

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node that ends during a call leaves the operator with what to do next.
func TestANodeThatEndsDuringACall(t *testing.T) {
	dir := t.TempDir()
	l, err := listenPrivately(filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_ = conn.Close()
		}
	}()
	_, err = PurgeIn(t.Context(), dir, "acme")
	if err == nil || !strings.Contains(err.Error(), "repeat it") || strings.Contains(err.Error(), "http://") {
		t.Errorf("the error is %v, want the way out and no address of ours", err)
	}
}

// Those who can put a socket of their own into the data directory would be told to purge,
// and could say that it was done.
func TestSocketThatOthersCanUseIsNotCalled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	l, err := listenPrivately(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			t.Error("the socket was called")
			_ = conn.Close()
		}
	}()
	for path, modes := range map[string][2]os.FileMode{path: {0o666, 0o600}, dir: {0o777, 0o700}} {
		if err := os.Chmod(path, modes[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := PurgeIn(t.Context(), dir, "acme"); err == nil || !strings.Contains(err.Error(), "; run: chmod ") || !strings.HasSuffix(err.Error(), path) {
			t.Errorf("with %s of mode %o: %v", path, modes[0], err)
		}
		if err := os.Chmod(path, modes[1]); err != nil {
			t.Fatal(err)
		}
	}
}
