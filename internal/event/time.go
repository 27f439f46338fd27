package event

import (
	"errors"
	"strings"
	"time"
)

// TimeLayout is RFC 3339 in UTC with milliseconds, the form of every
// timestamp in the API. It is of fixed width.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime returns t in TimeLayout.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }

// ParseTime reads an RFC 3339 timestamp of any offset, as UTC in whole
// milliseconds. The letters T and Z may be small. A leap second, which this
// clock cannot show, is read as the second after it.
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
	// UnmarshalText, unlike time.Parse, takes what RFC 3339 has and, of what it
	// has not, only a comma and offsets like +24:00 and +01:60.
	offset := s[len(s)-len("00:00"):]
	if strings.Contains(s, ",") || !strings.HasSuffix(s, "Z") && (offset[:2] > "23" || offset[3:] > "59") {
		return time.Time{}, errors.New("is not of RFC 3339")
	}
	t = t.UTC().Truncate(time.Millisecond)
	if !leap {
		return t, nil
	}
	t = t.Add(time.Second)
	if t.Truncate(time.Second) != time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) {
		return time.Time{}, errors.New("has a leap second, which only the end of a month in UTC can have")
	}
	return t, nil
}
