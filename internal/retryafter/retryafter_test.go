package retryafter

import (
	"net/http"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0},
		{"0", 0},
		{"120", 2 * time.Minute},
		{" 120 ", 2 * time.Minute},
		{"3600", time.Hour},
		{"3601", time.Hour},
		{"99999999999", time.Hour},
		{"9223372036854775807", time.Hour},
		{"99999999999999999999999", time.Hour},
		{"-5", 0},
		{"+5", 0},
		{"1.5", 0},
		{"5s", 0},
		{"soon", 0},
		{"Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second},
		{"Sunday, 01-Mar-26 12:00:30 GMT", 30 * time.Second},
		{"Sun Mar  1 12:00:30 2026", 30 * time.Second},
		{"Sun, 01 Mar 2026 11:59:59 GMT", 0},
		{"Sun, 01 Mar 2026 14:00:00 GMT", time.Hour},
		{"Fri, 31 Dec 9999 23:59:59 GMT", time.Hour},
		{"Sun, 01 Mar 0001 00:00:00 GMT", 0},
		{"2026-03-01T12:00:30Z", 0},
	}
	for _, tt := range tests {
		if got := Parse(tt.value, noon, time.Hour); got != tt.want {
			t.Errorf("Parse(%q) = %v, want %v", tt.value, got, tt.want)
		}
	}
}

// The bound holds where it is no whole number of seconds, and whatever the
// clock's zone.
func TestParseAtItsBounds(t *testing.T) {
	const date = "Sun, 01 Mar 2026 12:00:30 GMT"
	cet := time.FixedZone("CET", 3600)
	for _, tt := range []struct {
		name, value string
		now         time.Time
		most, want  time.Duration
	}{
		{"below a bound of 1.5 s", "1", noon, 1500 * time.Millisecond, time.Second},
		{"above a bound of 1.5 s", "2", noon, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"a bound of less than a second", "1", noon, time.Millisecond, time.Millisecond},
		{"a bound of nothing", "1", noon, 0, 0},
		{"no wait, a bound of nothing", "0", noon, 0, 0},
		{"the largest bound", "9223372036", noon, 1<<63 - 1, 9223372036 * time.Second},
		{"more than the largest bound", "9223372037", noon, 1<<63 - 1, 1<<63 - 1},
		{"leading zeros", "0000000000000000000000030", noon, time.Hour, 30 * time.Second},
		{"a date by a clock of another zone", date, noon.In(cet), time.Hour, 30 * time.Second},
		{"a date by a clock within a second", date, noon.Add(999 * time.Millisecond), time.Hour, 29001 * time.Millisecond},
		{"a date at its moment", date, noon.Add(30 * time.Second), time.Hour, 0},
		{"a date a nanosecond before", date, noon.Add(30*time.Second - 1), time.Hour, 1},
		{"a date at the bound", date, noon, 30 * time.Second, 30 * time.Second},
		{"a date past the bound", date, noon, 29 * time.Second, 29 * time.Second},
		{"a date too far to count", "Fri, 31 Dec 9999 23:59:59 GMT", time.Unix(0, 0), time.Hour, time.Hour},
		{"tabs", "\t30\t", noon, time.Hour, 30 * time.Second},
		{"spaces alone", "  ", noon, time.Hour, 0},
		{"two numbers", "30 40", noon, time.Hour, 0},
		{"digits of another script", "३०", noon, time.Hour, 0},
	} {
		if got := Parse(tt.value, tt.now, tt.most); got != tt.want {
			t.Errorf("%s: Parse(%q) = %v, want %v", tt.name, tt.value, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "120", "-1", "99999999999999999999", noon.Format(http.TimeFormat), "Sun, 06 Nov 1994 08:49:37 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := Parse(s, noon, time.Hour); d < 0 || d > time.Hour {
			t.Errorf("Parse(%q) = %v", s, d)
		}
	})
}
