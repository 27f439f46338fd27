package diskfault

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	_ "modernc.org/sqlite" // registers the driver
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite reads its tables and calls their functions by addresses: the functions are at the
// top level, and the tables in memory of C, where no collector and no race detector looks.
var (
	base  *sqlite3.Tsqlite3_vfs // the default one
	kinds [8]kind               // of the files of base
	files sync.Map              // of file handles to their *openFile
)

// kind has the methods of a kind of file: those of base, and the same with faults.
type kind struct {
	plain  *sqlite3.Tsqlite3_io_methods
	faulty *sqlite3.Tsqlite3_io_methods
}

type openFile struct {
	*kind
	disk *Disk
}

type (
	openFunc     = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, out uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, path uintptr, syncDir int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	writeFunc    = func(tls *libc.TLS, file, from uintptr, n int32, at int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	shareFunc    = func(tls *libc.TLS, file uintptr, region, size, extend int32, out uintptr) int32
)

// at returns what an address points to.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// function returns the function that SQLite calls by an address.
func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

// address returns the address of a function at the top level.
func address[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// addressOf returns the address of a table.
func addressOf[T any](table *T) uintptr { return uintptr(unsafe.Pointer(table)) }

// copied returns a copy of a table in memory of C, which is never freed.
func copied[T any](tls *libc.TLS, table *T) *T {
	c := at[T](libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*table))))
	*c = *table
	return c
}

// install makes a copy of the default VFS with faults the default one.
var install = sync.OnceValue(func() error {
	first, err := sql.Open("sqlite", ":memory:") // the driver prepares SQLite
	if err != nil {
		return err
	}
	if err := errors.Join(first.Ping(), first.Close()); err != nil {
		return err
	}
	tls := libc.NewTLS()
	defer tls.Close()
	found := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if found == 0 {
		return errors.New("SQLite has no VFS")
	}
	base = at[sqlite3.Tsqlite3_vfs](found)
	name, err := libc.CString("diskfault")
	if err != nil {
		return err
	}
	shim := copied(tls, base)
	shim.FzName, shim.FpNext = name, 0
	shim.FxOpen, shim.FxDelete = address[openFunc](open), address[deleteFunc](remove)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, addressOf(shim), 1); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("SQLite does not take the VFS: %d", rc)
	}
	return nil
})

func open(tls *libc.TLS, _, path, file uintptr, flags int32, out uintptr) int32 {
	disk := (*Disk)(nil)
	if path != 0 {
		disk = diskOf(libc.GoString(path))
	}
	if flags&sqlite3.SQLITE_OPEN_WAL != 0 && disk.fault(Create) != None {
		*at[uintptr](file) = 0 // nothing to close
		return sqlite3.SQLITE_CANTOPEN
	}
	rc := function[openFunc](base.FxOpen)(tls, addressOf(base), path, file, flags, out)
	if rc == sqlite3.SQLITE_OK && disk != nil {
		k := kindOf(tls, at[sqlite3.Tsqlite3_io_methods](*at[uintptr](file)))
		files.Store(file, &openFile{k, disk})
		*at[uintptr](file) = addressOf(k.faulty)
	}
	return rc
}

var counting sync.Mutex

// kindOf returns the kind of file that has the given methods.
func kindOf(tls *libc.TLS, plain *sqlite3.Tsqlite3_io_methods) *kind {
	counting.Lock()
	defer counting.Unlock()
	i := 0
	for kinds[i].plain != nil && kinds[i].plain != plain {
		i++
	}
	k := &kinds[i]
	if k.plain == nil {
		k.plain, k.faulty = plain, copied(tls, plain)
		k.faulty.FxClose, k.faulty.FxWrite = address[closeFunc](closeFile), address[writeFunc](write)
		k.faulty.FxTruncate, k.faulty.FxSync = address[truncateFunc](truncate), address[syncFunc](syncFile)
		k.faulty.FxShmMap = address[shareFunc](share)
	}
	return k
}

func fileOf(handle uintptr) *openFile {
	f, _ := files.Load(handle)
	return f.(*openFile)
}

// code returns what SQLite is told of a fault.
func code(f Fault, eio int32) int32 {
	if f == EIO {
		return eio
	}
	return sqlite3.SQLITE_FULL
}

func remove(tls *libc.TLS, _, path uintptr, syncDir int32) int32 {
	if diskOf(libc.GoString(path)).fault(Delete) != None {
		return sqlite3.SQLITE_IOERR_DELETE
	}
	return function[deleteFunc](base.FxDelete)(tls, addressOf(base), path, syncDir)
}

func closeFile(tls *libc.TLS, handle uintptr) int32 {
	f := fileOf(handle)
	files.Delete(handle)
	return function[closeFunc](f.plain.FxClose)(tls, handle)
}

func write(tls *libc.TLS, handle, from uintptr, n int32, at int64) int32 {
	f := fileOf(handle)
	plainWrite := function[writeFunc](f.plain.FxWrite)
	switch fault := f.disk.fault(Write); fault {
	case None:
		return plainWrite(tls, handle, from, n, at)
	case Short:
		_ = plainWrite(tls, handle, from, n/2, at)
		return sqlite3.SQLITE_FULL
	default:
		return code(fault, sqlite3.SQLITE_IOERR_WRITE)
	}
}

func truncate(tls *libc.TLS, handle uintptr, size int64) int32 {
	f := fileOf(handle)
	if f.disk.fault(Truncate) != None {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	return function[truncateFunc](f.plain.FxTruncate)(tls, handle, size)
}

func syncFile(tls *libc.TLS, handle uintptr, flags int32) int32 {
	f := fileOf(handle)
	if fault := f.disk.fault(Sync); fault != None {
		return code(fault, sqlite3.SQLITE_IOERR_FSYNC)
	}
	return function[syncFunc](f.plain.FxSync)(tls, handle, flags)
}

func share(tls *libc.TLS, handle uintptr, region, size, extend int32, out uintptr) int32 {
	f := fileOf(handle)
	if extend != 0 && f.disk.fault(Share) != None {
		return sqlite3.SQLITE_IOERR_SHMSIZE
	}
	return function[shareFunc](f.plain.FxShmMap)(tls, handle, region, size, extend, out)
}
