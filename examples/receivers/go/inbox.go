package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// inbox is a folder with a file per event id. Of two calls with the same event, even
// at the same time, one makes the link. In a database a unique key does the same.
// Keep the ids for as long as the service keeps events (30 days), since a replay
// sends them again. It is safe for concurrent use, by several processes too.
type inbox struct{ dir string }

func openInbox(dir string) (*inbox, error) {
	return &inbox{dir}, os.MkdirAll(dir, 0o750)
}

// put adds an event, and reports whether it is new. Either way it is on disk.
func (b *inbox) put(id string, body []byte) (added bool, err error) {
	part, err := b.write(body)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(part) }()
	err = os.Link(part, filepath.Join(b.dir, id+".json"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	return err == nil, syncFile(b.dir)
}

// write writes a new file to disk, and returns its path.
func (b *inbox) write(body []byte) (path string, err error) {
	f, err := os.CreateTemp(b.dir, "*.part")
	if err != nil {
		return "", err
	}
	_, err = f.Write(body)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
