package usertext

import (
	"bytes"
	"errors"
)

// CheckEncoding returns an error if text begins with a byte order mark, or looks like
// UTF-16 or UTF-32, as some Windows editors and shells write them: parsers report only
// an invalid character. The first three bytes are enough. The error completes a
// sentence about the file.
func CheckEncoding(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return errors.New("begins with a byte order mark; save it as UTF-8 without one")
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")), bytes.IndexByte(text[:min(len(text), 2)], 0) >= 0:
		return errors.New("is in UTF-16 or UTF-32; save it as UTF-8")
	}
	return nil
}
