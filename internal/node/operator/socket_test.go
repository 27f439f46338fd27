package operator

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// A node that ends during a call leaves the operator with what to do next.
func TestANodeThatEndsDuringACall(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, SocketName))
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
