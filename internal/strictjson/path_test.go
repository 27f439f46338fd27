package strictjson_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// What is no plain name is quoted and cut: it is the caller's text in a message.
func TestPathsAreWritten(t *testing.T) {
	x64, x65 := strings.Repeat("x", 64), strings.Repeat("x", 65)
	for _, c := range []struct {
		prefix string
		tokens []string
		want   string
	}{
		{"", nil, ""},
		{"events[3]", nil, "events[3]"},
		{"", []string{"filter_conditions", "event_filter", "2"}, "filter_conditions.event_filter[2]"},
		{"events[3]", []string{"payload", "a"}, "events[3].payload.a"},
		{"line 2: ", []string{"payload"}, "line 2: payload"},
		{"", []string{"0"}, "[0]"},
		{"", []string{"a", "999999999"}, "a[999999999]"},
		{"", []string{"a", "1000000000"}, "a.1000000000"}, // a name, as no list is so long
		{"", []string{"az-AZ_09"}, "az-AZ_09"},
		{"", []string{""}, `[""]`},
		{"", []string{"a", ""}, `a[""]`},
		{"", []string{x64}, x64},
		{"", []string{x65}, `["` + x64 + `…"]`},
		{"", []string{x64 + " "}, `["` + x64 + `…"]`},
		{"", []string{x64[:63] + " "}, `["` + x64[:63] + ` "]`},
		{"", []string{x64[:63] + "üx"}, `["` + x64[:63] + `…"]`},
		{"", []string{x64[:62] + "üx"}, `["` + x64[:62] + `ü…"]`},
		{"", []string{"a\nb"}, `["a\nb"]`},
		{"", []string{"a\"b"}, `["a\"b"]`},
		{"", []string{"ü"}, `["ü"]`},
		{"", []string{"a`"}, "[\"a`\"]"},
		{"", []string{"a{"}, `["a{"]`},
		{"", []string{"a@"}, `["a@"]`},
		{"", []string{"a["}, `["a["]`},
		{"", []string{"a/"}, `["a/"]`},
		{"", []string{"a:"}, `["a:"]`},
		{"", []string{"1."}, `["1."]`},
		{strings.Repeat("p", 256), []string{"a"}, strings.Repeat("p", 256) + ".a"},
		{strings.Repeat("p", 257), []string{"a"}, strings.Repeat("p", 257) + "…"},
	} {
		var pointer jsontext.Pointer
		for _, token := range c.tokens {
			pointer = pointer.AppendToken(token)
		}
		if got := strictjson.Path(c.prefix, pointer); got != c.want {
			t.Errorf("%q %q is written as %s, want %s", c.prefix, c.tokens, got, c.want)
		}
	}
}

func TestNumbersAreNamedAsNumbers(t *testing.T) {
	var d struct {
		I int     `json:"i"`
		F float64 `json:"f"`
		U uint8   `json:"u"`
		A any     `json:"a"`
	}
	for body, want := range map[string]string{
		`{"i":"x"}`: "i must be a number, not a string (line 1, column 6).",
		`{"f":[]}`:  "f must be a number, not a list (line 1, column 6).",
		`{"u":{}}`:  "u must be a number, not an object (line 1, column 6).",
	} {
		if err := strictjson.Decode([]byte(body), &d); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}
