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
