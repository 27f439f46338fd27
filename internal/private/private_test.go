package private

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluicehq/sluice/internal/usertext"
)

// own sets owner, group and mode of a new file or directory.
func own(t *testing.T, dir bool, mode os.FileMode, uid, gid int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	err := os.WriteFile(path, nil, 0o600)
	if dir {
		err = os.Mkdir(path+"d", 0o700)
		path += "d"
	}
	if err != nil {
		t.Fatal(err)
	}
	if uid != os.Geteuid() || gid != os.Getegid() {
		if err := os.Chown(path, uid, gid); err != nil {
			t.Skipf("only root can give files away: %v", err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the messages suggest can be copied into a shell, whatever the path.
func TestSuggestedCommandsQuoteThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it's a file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	quoted := usertext.ShellWord(path)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := File("the database", path); err == nil || !strings.HasSuffix(err.Error(), "run: chmod 600 "+quoted) {
		t.Errorf("%v", err)
	}
	if err := os.Chown(path, os.Geteuid()+1, os.Getegid()); err != nil {
		t.Skipf("only root can give files away: %v", err)
	}
	if err := File("the database", path); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("chown %d %s", os.Geteuid(), quoted)) {
		t.Errorf("%v", err)
	}
}

func TestModes(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
		if err := File("the database", own(t, false, mode, uid, gid)); err != nil {
			t.Errorf("a file of mode %o is refused: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o660, 0o604, 0o602, 0o620, 0o601, 0o610} {
		path := own(t, false, mode, uid, gid)
		err := File("the database", path)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the database %s (mode %04o); run: chmod 600 %[1]s", path, mode.Perm())) {
			t.Errorf("a file of mode %o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o700, 0o750, 0o755, 0o711} {
		if err := Dir("the data directory", own(t, true, mode, uid, gid)); err != nil {
			t.Errorf("a directory of mode %o is refused: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o777, 0o757, 0o702, 0o777 | os.ModeSticky} {
		path := own(t, true, mode, uid, gid)
		err := Dir("the data directory", path)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("write to the data directory %s (mode %04o); run: chmod 700 %[1]s", path, mode.Perm())) {
			t.Errorf("a directory of mode %o: %v", mode, err)
		}
	}
}

// A group may write to a directory only if it is the owner's private group.
func TestGroupThatMayWrite(t *testing.T) {
	uid := os.Geteuid()
	if err := Dir("d", own(t, true, 0o775, uid, uid)); err != nil {
		t.Errorf("the owner's private group: %v", err)
	}
	if err := Dir("d", own(t, true, 0o775, uid, uid+1)); err == nil {
		t.Error("another group may write")
	}
}

func TestOwners(t *testing.T) {
	uid := os.Geteuid()
	other := uid + 1234
	for _, dir := range []bool{false, true} {
		check := File
		if dir {
			check = Dir
		}
		path := own(t, dir, 0o700, other, other)
		if err := check("it", path); err == nil || !strings.Contains(err.Error(), "is owned by user 1234, but this program runs as user 0; run it as user 1234, or: chown 0 "+path) {
			t.Errorf("of another user (directory: %v): %v", dir, err)
		}
	}
	if info, err := os.Stat("/"); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		t.Skip("the root directory is not root's alone")
	}
	if err := Dir("the root directory", "/"); err != nil {
		t.Errorf("a directory of root: %v", err)
	}
}

func TestTypes(t *testing.T) {
	dir := t.TempDir()
	if err := File("it", dir); err == nil || !strings.Contains(err.Error(), "wrong type") {
		t.Errorf("a directory as a file: %v", err)
	}
	if err := Dir("it", own(t, false, 0o600, os.Geteuid(), os.Getegid())); err == nil || !strings.Contains(err.Error(), "wrong type") {
		t.Errorf("a file as a directory: %v", err)
	}
	missing := filepath.Join(dir, "missing")
	if err := File("it", missing); err != nil {
		t.Error(err)
	}
	if err := Dir("it", missing); err != nil {
		t.Error(err)
	}
}
