package client

import (
	"bufio"
	"errors"
)

var errTooLong = errors.New("event too long")

// lineSource reads for a JSON decoder and knows which line each byte is on. It
// remembers the newlines of what the decoder holds, no more, and fails when one
// event takes more than MaxEvent bytes: nothing bounds a decoder's buffer.
type lineSource struct {
	r        *bufio.Reader
	line     int     // of the byte at offset freed
	freed    int64   // all before is done with
	offset   int64   // bytes handed out
	newlines []int64 // offsets of those handed out and not freed
}

// skipSpace passes over white space and returns, unread, what follows it.
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

// skipLines passes over the lines before the given one, unparsed: it is how to
// get past a line that cannot be parsed.
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

// lineAt returns the line of an offset that is not freed.
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

// free forgets what is before the offset.
func (s *lineSource) free(offset int64) {
	before := s.lineAt(offset) - s.line
	s.line += before
	s.newlines = append(s.newlines[:0], s.newlines[before:]...)
	s.freed = offset
}
