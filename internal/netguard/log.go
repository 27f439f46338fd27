package netguard

import (
	"bytes"
	"io"
)

// FilterLog returns a writer for package log that drops the lines in which net/http
// quotes an unsolicited response. They may contain secrets that the receiver was
// sent, and a receiver can cause any number of them. net/http offers no other way: a
// program that calls receivers sets this once, after slog.SetDefault:
//
//	log.SetOutput(netguard.FilterLog(log.Writer()))
func FilterLog(w io.Writer) io.Writer { return filter{w} }

type filter struct{ io.Writer }

var unsolicited = []byte("Unsolicited response received on idle HTTP channel")

func (f filter) Write(line []byte) (int, error) {
	if bytes.Contains(line, unsolicited) {
		return len(line), nil
	}
	return f.Writer.Write(line)
}
