// Package private checks that files and directories belong to the user that runs this
// program alone. It refuses what is not so and says how to mend it; it changes nothing.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/sluicehq/sluice/internal/usertext"
)

// File returns an error unless the user that runs this program owns the file, or the
// socket, and nobody else may read or write it. The text what names it in the error, such
// as "the database". A missing file passes.
func File(what, path string) error { return check(what, path, fileMode) }

// Dir returns an error unless the user that runs this program, or root, owns the
// directory, and nobody else may write to it: who may can replace the files in it.
// Others may read it, which tells them no more than the names of its files. Its group may
// write to it if that is the owner's private group, the one with the user's number, as
// systems make directories whose umask is 0002. A missing directory passes.
func Dir(what, path string) error { return check(what, path, dirMode) }

type rule struct {
	dir   bool
	needs string // the mode that chmod is given
}

var (
	fileMode = rule{needs: "600"}
	dirMode  = rule{dir: true, needs: "700"}
)

func check(what, path string, r rule) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s %s cannot be checked: %w", what, path, err)
	}
	if info.IsDir() != r.dir {
		return fmt.Errorf("%s %s is of the wrong type (%v); move it away", what, path, info.Mode())
	}
	owner, group, known := owners(info)
	if known && !r.owned(owner) {
		return fmt.Errorf("%s %s is owned by user %d, but this program runs as user %[4]d; run it as user %[3]d, or: chown %[4]d %[5]s", what, path, owner, os.Geteuid(), usertext.ShellWord(path))
	}
	if others := r.others(info.Mode(), known && owner == group); others != "" {
		return fmt.Errorf("users other than its owner can %s %s %s (mode %04o); run: chmod %s %s", others, what, path, info.Mode().Perm(), r.needs, usertext.ShellWord(path))
	}
	return nil
}

// owned reports whether a file of this owner may be used.
func (r rule) owned(owner uint32) bool {
	return int64(owner) == int64(os.Geteuid()) || r.dir && owner == 0
}

// others returns what users other than the owner can do that they must not, or "".
func (r rule) others(mode fs.FileMode, privateGroup bool) string {
	switch {
	case !r.dir && mode.Perm()&0o077 != 0:
		return "access"
	case r.dir && (mode.Perm()&0o002 != 0 || mode.Perm()&0o020 != 0 && !privateGroup):
		return "write to"
	}
	return ""
}

// owners returns the numbers of a file's owner and group.
func owners(info fs.FileInfo) (user, group uint32, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return stat.Uid, stat.Gid, true
}
