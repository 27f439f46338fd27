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

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// wholeCheckBytes is up to which size a database is checked as a whole before
// it is used. Of a larger one the segments are left out: they have checksums of
// their own, which every read compares.
const wholeCheckBytes = 256 << 20

// applicationID marks a file as one of ours: "Slce".
const applicationID = 0x536c6365

var magic = []byte("SQLite format 3\x00")

// damaged is a database that cannot be used, as it was found.
type damaged struct{ path, what string }

func (d *damaged) Error() string {
	return fmt.Sprintf("the database %s is damaged: %s. Nothing was changed. Move it away, with the files of the same name "+
		"and -wal or -shm at the end; then restore a backup (sluice restore), or start with an empty one", d.path, d.what)
}

func damagedError(path, what string) error { return &damaged{path, what} }

// check refuses a file that is no database of ours, or a damaged one, without
// changing a byte of it. There may be no file, or an empty one. A database of up
// to whole bytes is checked as a whole, a larger one without its segments.
func check(ctx context.Context, path string, whole int64) error {
	head := make([]byte, 100)
	size, err := readHead(path, head)
	if err != nil {
		return err
	}
	wal, err := sizeOf(path + "-wal")
	if err != nil {
		return err
	}
	if size == 0 && wal > 0 {
		return damagedError(path, "it is missing or empty, but there is a write-ahead log of it")
	}
	if size == 0 {
		return nil
	}
	if size < int64(len(head)) || !bytes.Equal(head[:len(magic)], magic) {
		return damagedError(path, "it does not start like an SQLite database")
	}
	pageSize := int64(binary.BigEndian.Uint16(head[16:]))
	if pageSize == 1 {
		pageSize = 65536
	}
	if pages := int64(binary.BigEndian.Uint32(head[28:])); wal == 0 && size < pages*pageSize {
		return damagedError(path, fmt.Sprintf("it has %d bytes and should have %d", size, pages*pageSize))
	}
	_, err = os.Stat(path + "-shm")
	indexed := err == nil
	if err := checkContent(ctx, path, size+wal <= whole, wal > 0); err != nil {
		if !indexed {
			_ = os.Remove(path + "-shm") // a refused directory is left as it was
		}
		return err
	}
	return nil
}

// readHead fills head with the start of the file and returns the file's size.
func readHead(path string, head []byte) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the database %s cannot be read: %w", path, err)
	}
	defer f.Close()
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("the database %s cannot be read: %w", path, err)
	}
	return sizeOf(path)
}

// sizeOf is a file's size, 0 if there is none.
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

// checkContent walks the database's pages over a read-only connection. With a
// write-ahead log that connection makes an index of it (-shm) where there is
// none. The index stays for the next connection: a backup may have it open by
// now, and one that is removed no longer keeps the log from being overwritten.
// Without a log nothing is needed, as no other process writes.
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

	if err := checkOrigin(ctx, db, path); err != nil {
		return err
	}
	tables := []string{""}
	if !whole {
		if tables, err = smallTables(ctx, db); err != nil {
			return checkFailed(path, err)
		}
	}
	for _, table := range tables {
		query := "PRAGMA quick_check(1)"
		if table != "" {
			query = "PRAGMA quick_check(" + table + ")"
		}
		var answer string
		if err := db.QueryRowContext(ctx, query).Scan(&answer); err != nil {
			return checkFailed(path, err)
		}
		if answer != "ok" {
			return damagedError(path, strings.Join(strings.Fields(answer), " "))
		}
	}
	return nil
}

// checkOrigin refuses a database that is not ours or from a newer release. One
// without any table is a start that was cut short.
func checkOrigin(ctx context.Context, db *sql.DB, path string) error {
	var version, tables int
	var id uint32
	err := db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM sqlite_schema), "+
		"(SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version)").Scan(&tables, &id, &version)
	if err != nil {
		return checkFailed(path, err)
	}
	if tables > 0 && id != applicationID {
		return fmt.Errorf("the file %s is an SQLite database, but not one of Sluice's; choose another data directory", path)
	}
	if known := len(migrations()); version > known {
		return fmt.Errorf("the database %s is of version %d, made by a newer release; this release knows versions up to %d. "+
			"Use the newer release, or restore a backup from before", path, version, known)
	}
	return nil
}

func checkFailed(path string, err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if ok && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB) {
		return damagedError(path, err.Error())
	}
	return fmt.Errorf("the database %s cannot be checked: %w", path, err)
}

// smallTables lists every table but the segments.
func smallTables(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('segments')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
