package sqlitedb

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// wholeCheckBytes is the maximum size, in bytes, up to which all of a database is
// checked before use, which takes up to half a second. A larger one is checked in use
// (DB.Check).
const wholeCheckBytes = 64 << 20

// applicationID identifies a file as a database of Sluice: "Slce".
const applicationID = 0x536c6365

var magic = []byte("SQLite format 3\x00")

// damaged is the error for a database that is damaged.
type damaged struct{ path, what string }

func (d *damaged) Error() string {
	return fmt.Sprintf("the database %s is damaged: %s. Move it away, together with the files of the same name "+
		"that end in -wal or -shm; then restore a backup (sluice restore), or start with an empty database", d.path, d.what)
}

func damagedError(path, what string) error { return &damaged{path, what} }

// check rejects a file that is not a database of Sluice or is damaged, without
// changing it. A missing or empty file passes. It reads the pages of a database of up
// to limit bytes, and reports whether it did.
func check(ctx context.Context, path string, limit int64) (whole bool, err error) {
	header := make([]byte, 100)
	size, err := readHeader(path, header)
	if err != nil {
		return false, err
	}
	wal, err := sizeOf(path + "-wal")
	if err != nil {
		return false, err
	}
	if size == 0 && wal > 0 {
		return false, damagedError(path, "it is missing or empty, but its write-ahead log exists")
	}
	if size == 0 {
		return true, nil
	}
	if size < int64(len(header)) || !bytes.Equal(header[:len(magic)], magic) {
		return false, damagedError(path, "it does not have the header of an SQLite database")
	}
	pageSize := int64(binary.BigEndian.Uint16(header[16:]))
	if pageSize == 1 {
		pageSize = 65536
	}
	if pages := int64(binary.BigEndian.Uint32(header[28:])); wal == 0 && size < pages*pageSize {
		return false, damagedError(path, fmt.Sprintf("it has %d bytes and should have %d", size, pages*pageSize))
	}
	_, err = os.Stat(path + "-shm")
	indexed := err == nil
	whole = size+wal <= limit
	if err := checkContent(ctx, path, whole, wal > 0); err != nil {
		if !indexed {
			_ = os.Remove(path + "-shm") // leave a rejected directory unchanged
		}
		return false, err
	}
	return whole, nil
}

// readHeader fills header with the start of the file and returns the file's size.
// A missing file has size 0.
func readHeader(path string, header []byte) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the database %s cannot be read: %w", path, err)
	}
	defer f.Close()
	if _, err := io.ReadFull(f, header); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("the database %s cannot be read: %w", path, err)
	}
	return sizeOf(path)
}

// sizeOf returns a file's size in bytes; 0 if it does not exist.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the file %s cannot be read: %w", path, err)
	}
	return info.Size(), nil
}

// checkContent checks the database over a read-only connection, and all of its pages if
// whole. If there is a write-ahead log, the connection creates its index (-shm) if
// missing. The index stays for the next connection: a backup may have opened it by now,
// and once removed it no longer keeps the log from being overwritten. Without a log the
// file can be opened as immutable, as no other process writes.
func checkContent(ctx context.Context, path string, whole, wal bool) error {
	options := "mode=ro&immutable=1"
	if wal {
		options = "mode=ro"
	}
	db, err := sql.Open("sqlite", dsn(path, options))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	if err := checkRelease(ctx, db, path); err != nil || !whole {
		return err
	}
	return quickCheck(ctx, db, path, "PRAGMA quick_check(1)")
}

func quickCheck(ctx context.Context, db *sql.DB, path, query string) error {
	var finding string
	if err := db.QueryRowContext(ctx, query).Scan(&finding); err != nil {
		return checkFailed(path, err)
	}
	if finding != "ok" {
		return damagedError(path, strings.Join(strings.Fields(finding), " "))
	}
	return nil
}

// Check checks the pages of a database that was too large for Open to check them. The
// segments are left out, as every read of one verifies its checksum, and so are the log
// entries and the rejected events: there may be millions of them. It reads one table
// after another, so that it does not keep the write-ahead log from being copied for long.
func (db *DB) Check(ctx context.Context) error {
	if db.checked {
		return nil
	}
	for _, table := range []string{"tenants", "integrations", "records", "cursors", "partitions", "stamps"} {
		if err := quickCheck(ctx, db.reads, db.path, "PRAGMA quick_check("+table+")"); err != nil {
			return err
		}
	}
	return nil
}

// checkRelease rejects a database that is not of Sluice or is of a newer release.
// One without tables is the result of an interrupted first start.
func checkRelease(ctx context.Context, db *sql.DB, path string) error {
	var version, tables int
	var id uint32
	err := db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM sqlite_schema), "+
		"(SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version)").Scan(&tables, &id, &version)
	if err != nil {
		return checkFailed(path, err)
	}
	if tables > 0 && id != applicationID {
		return fmt.Errorf("the file %s is an SQLite database, but not one of Sluice; choose another data directory", path)
	}
	if known := len(migrations()); version > known {
		return fmt.Errorf("the database %s has version %d of a newer release; this release supports versions up to %d. "+
			"Use the newer release, or restore a backup made by this one", path, version, known)
	}
	return nil
}

func checkFailed(path string, err error) error {
	if Corrupt(err) {
		return damagedError(path, err.Error())
	}
	return fmt.Errorf("the database %s cannot be checked: %w", path, err)
}
