package publish

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/usertext"
)

// quote is a caller's text for a message, cut where it is long.
func quote(s string) string { return strconv.Quote(usertext.Clip(s, 100)) }

// compact removes the white space from valid JSON, in place. Everything else is kept
// byte for byte.
func compact(value *[]byte) error { return (*jsontext.Value)(value).Compact() }
