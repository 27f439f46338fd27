package client

import (
	"bufio"
	"errors"
)

var errTooLong = errors.New("event too long")

// lineSource is the io.Reader of a JSON decoder and tracks which line each byte is
// on. It remembers only the newlines of what the decoder has buffered. It fails if
// one event exceeds MaxEvent, because the decoder's buffer is unbounded.
type lineSource struct {
	r        *bufio.Reader
	line     int     // of the byte at offset freed
	freed    int64   // everything before it is decoded
	offset   int64   // bytes read
	newlines []int64 // offsets, from freed to offset
}

// skipSpace skips white space and returns the next byte without consuming it.
func (s *lineSource) skipSpace() (byte, error) {
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case '\n':
			s.line++
		case ' ', '\t', '\r':
		default:
			return c, s.r.UnreadByte()
		}
	}
}

// skipLines skips the lines before the given one without parsing them, so that an
// upload can resume after an invalid line.
func (s *lineSource) skipLines(to int) error {
	for s.line < to {
		_, err := s.r.ReadSlice('\n')
		switch {
		case err == nil:
			s.line++
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	return nil
}

// Read implements io.Reader for the decoder.
func (s *lineSource) Read(p []byte) (int, error) {
	if s.offset-s.freed > MaxEvent {
		return 0, errTooLong
	}
	n, err := s.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			s.newlines = append(s.newlines, s.offset+int64(i))
		}
	}
	s.offset += int64(n)
	return n, err
}

// lineAt returns the line of an offset, which must not be freed.
func (s *lineSource) lineAt(offset int64) int {
	line := s.line
	for _, at := range s.newlines {
		if at >= offset {
			break
		}
		line++
	}
	return line
}

// free drops the newlines before the offset.
func (s *lineSource) free(offset int64) {
	before := s.lineAt(offset) - s.line
	s.line += before
	s.newlines = append(s.newlines[:0], s.newlines[before:]...)
	s.freed = offset
}
