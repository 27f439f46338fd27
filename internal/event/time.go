package event

import (
	"errors"
	"strings"
	"time"
)

// TimeLayout is RFC 3339 in UTC with milliseconds, the form of every
// timestamp in the API. Its width is fixed.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime returns t in TimeLayout.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }

// ParseTime parses an RFC 3339 timestamp with any offset, and returns it in UTC,
// truncated to milliseconds. The letters T and Z may be lower case. A leap
// second, which time.Time cannot represent, becomes the second after it.
func ParseTime(s string) (time.Time, error) {
	s = strings.ToUpper(s)
	leap := len(s) > 19 && s[16:19] == ":60"
	if leap {
		s = s[:16] + ":59" + s[19:]
	}
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, err
	}
	// UnmarshalText is strict, unlike time.Parse: beyond RFC 3339 it accepts only
	// a comma and offsets such as +24:00 and +01:60.
	offset := s[len(s)-len("00:00"):]
	if strings.Contains(s, ",") || !strings.HasSuffix(s, "Z") && (offset[:2] > "23" || offset[3:] > "59") {
		return time.Time{}, errors.New("is not in RFC 3339 format")
	}
	t = t.UTC().Truncate(time.Millisecond)
	if !leap {
		return t, nil
	}
	t = t.Add(time.Second)
	if t.Truncate(time.Second) != time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) {
		return time.Time{}, errors.New("has a leap second, which is valid only at the end of a month in UTC")
	}
	return t, nil
}
