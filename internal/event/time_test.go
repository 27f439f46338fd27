package event

import "testing"

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2019-01-17T12:00:00.000Z":       "2019-01-17T12:00:00.000Z",
		"2019-01-17t12:00:00z":           "2019-01-17T12:00:00.000Z",
		"2019-01-17T12:00:00.123999999z": "2019-01-17T12:00:00.123Z",
		"2019-01-17t12:00:00+02:00":      "2019-01-17T10:00:00.000Z",
		"2019-01-17T12:00:00-23:59":      "2019-01-18T11:59:00.000Z",
		"2019-01-17T12:00:00-00:00":      "2019-01-17T12:00:00.000Z",
		"2020-02-29T00:00:00Z":           "2020-02-29T00:00:00.000Z",
		"2016-12-31T23:59:60Z":           "2017-01-01T00:00:00.000Z",
		"2016-12-31T23:59:60.5z":         "2017-01-01T00:00:00.500Z",
		"2017-01-01T05:29:60+05:30":      "2017-01-01T00:00:00.000Z",
		"2015-06-30T16:59:60-07:00":      "2015-07-01T00:00:00.000Z",

		"":                             "",
		"2019-01-17":                   "",
		"2019-01-17T12:00:00":          "",
		"2019-01-17 12:00:00Z":         "",
		"2019-01-17T12:00Z":            "",
		"2019-01-17T12:00:00,5Z":       "",
		"2019-01-17T12:00:00.Z":        "",
		"2019-01-17T24:00:00Z":         "",
		"2019-01-17T12:00:61Z":         "",
		"2019-01-17T12:00:60Z":         "", // not the end of a day
		"2019-01-17T23:59:60Z":         "", // not the end of a month
		"2016-12-31T23:59:60+01:00":    "", // not in UTC
		"2019-01-17T12:00:00+0200":     "",
		"2019-01-17T12:00:00+02":       "",
		"2019-01-17T12:00:00+24:00":    "",
		"2019-01-17T12:00:00+02:60":    "",
		"2019-01-17T12:00:00 Z":        "",
		"2019-02-29T00:00:00Z":         "",
		"2019-1-17T12:00:00Z":          "",
		"+2019-01-17T12:00:00Z":        "",
		"2019-01-17T12:00:00Z\n":       "",
		"2019-01-17T12:00:00\u2212":    "",
		"2019-01-17T12:00:00[Etc/UTC]": "",
	} {
		got, err := ParseTime(text)
		switch {
		case err != nil && want != "":
			t.Errorf("ParseTime(%q): %v", text, err)
		case err == nil && (want == "" || FormatTime(got) != want):
			t.Errorf("ParseTime(%q) = %s, want %q", text, FormatTime(got), want)
		}
	}
}

// Whatever the input, a time that parses also parses in its formatted form, to
// the same time.
func FuzzParseTime(f *testing.F) {
	f.Add("2016-12-31T23:59:60Z")
	f.Add("2019-01-17t12:00:00.5+02:00")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s)
		if err != nil || got.Year() < 0 || got.Year() > 9999 {
			return
		}
		if again, err := ParseTime(FormatTime(got)); err != nil || !again.Equal(got) {
			t.Errorf("ParseTime(%q) = %v, and read again %v, %v", s, got, again, err)
		}
	})
}
