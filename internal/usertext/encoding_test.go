package usertext

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestEncodingOfAFileIsNamed(t *testing.T) {
	const document = `{"name":"a.b"}`
	wide := func(order binary.AppendByteOrder, text string) string {
		var out []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			out = order.AppendUint16(out, unit)
		}
		return string(out)
	}
	for name, c := range map[string]struct{ text, want string }{
		"UTF-8":                 {document, ""},
		"empty":                 {"", ""},
		"one byte":              {"1", ""},
		"UTF-8 with a mark":     {"\ufeff" + document, "begins with a byte order mark; save it as UTF-8 without one"},
		"UTF-16 LE":             {wide(binary.LittleEndian, document), "is in UTF-16 or UTF-32; save it as UTF-8"},
		"UTF-16 BE":             {wide(binary.BigEndian, document), "save it as UTF-8"},
		"UTF-16 LE with a mark": {wide(binary.LittleEndian, "\ufeff"+document), "save it as UTF-8"},
		"UTF-16 BE with a mark": {wide(binary.BigEndian, "\ufeff"+document), "save it as UTF-8"},
		"UTF-32 LE with a mark": {"\xff\xfe\x00\x00{\x00\x00\x00", "save it as UTF-8"},
	} {
		err := CheckEncoding([]byte(c.text))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
