package sqlitedb

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The refusal names the process that has the directory, and no earlier one.
func TestRefusalOfALockedDirectoryNamesItsOwner(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, LockName), []byte("98765432109876\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	_, err = Lock(dir)
	if want := fmt.Sprintf("(pid %d)", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want the owner %s", err, want)
	}
}
