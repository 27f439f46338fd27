package sqlitedb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// journalMagic begins a rollback journal, which SQLite uses only until the first page of
// a new database says that it has a write-ahead log.
var journalMagic = []byte{0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}

// firstPage is the size of a database whose first start was interrupted, at most.
const firstPage = 4096

// discardUnbegun empties a database whose first start was interrupted, as by a full disk:
// it has a page at most, and its journal says that it had none before. SQLite would empty
// it too, but such a file would pass for a damaged one, and no longer for a new one.
func discardUnbegun(path string) error {
	size, err := sizeOf(path)
	if err != nil || size == 0 || size > firstPage {
		return err
	}
	journal := path + "-journal"
	unbegun, err := wasEmpty(journal)
	if err != nil || !unbegun {
		return err
	}
	if err := errors.Join(os.Truncate(path, 0), os.Remove(journal)); err != nil {
		return fmt.Errorf("the database %s, whose first start was interrupted, cannot be begun anew: %w", path, err)
	}
	return nil
}

// wasEmpty reports whether a rollback journal is of a database that had no pages.
func wasEmpty(journal string) (bool, error) {
	f, err := os.Open(journal)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the file %s cannot be read: %w", journal, err)
	}
	defer f.Close()
	header := make([]byte, 20) // magic, records, nonce, pages
	if _, err := io.ReadFull(f, header); err != nil {
		return false, nil // SQLite ignores it
	}
	return bytes.HasPrefix(header, journalMagic) && binary.BigEndian.Uint32(header[16:]) == 0, nil
}
