// Package diskfault makes the disk below SQLite fail, in tests. It puts a VFS of its own
// in front of the default one, for every database that is opened from then on.
//
// It changes what SQLite is told and what it has written, not what the kernel does: a
// write that was not synced is never lost, and shared memory is never cut off.
package diskfault

import (
	"path/filepath"
	"strings"
	"sync"
)

// Op is an operation on a file of a database.
type Op string

// The operations that can fail.
const (
	Create   Op = "create"
	Write    Op = "write"
	Sync     Op = "sync"
	Truncate Op = "truncate"
	Share    Op = "share" // grow the shared memory of the write-ahead log
	Delete   Op = "delete"
)

// Fault is what happens to an operation.
type Fault int

// The faults.
const (
	None  Fault = iota
	EIO         // it fails, and changes nothing
	Full        // the disk is full; it changes nothing
	Short       // half of a write is done, then the disk is full; otherwise as Full
)

// Disk is a directory whose files fail. It is safe for concurrent use.
type Disk struct {
	decide func(Op) Fault
}

// disks has every Disk by its directory.
var disks sync.Map

// Below makes decide choose what happens to each operation on the databases below a
// directory, until Remove. Those that are open already are not affected. decide must be
// safe for concurrent use.
func Below(dir string, decide func(Op) Fault) (remove func(), err error) {
	if err := install(); err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	disks.Store(dir, &Disk{decide})
	return func() { disks.Delete(dir) }, nil
}

// diskOf returns the disk that a file is on, or nil.
func diskOf(path string) *Disk {
	var found *Disk
	disks.Range(func(dir, disk any) bool {
		if strings.HasPrefix(path, dir.(string)+string(filepath.Separator)) {
			found = disk.(*Disk)
		}
		return found == nil
	})
	return found
}

// fault returns what happens to an operation.
func (d *Disk) fault(op Op) Fault {
	if d == nil {
		return None
	}
	return d.decide(op)
}
