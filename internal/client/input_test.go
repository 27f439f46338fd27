package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readAll returns "place body" of every event, and the error that ended it.
func readAll(input string, from int) ([]string, error) {
	r := NewReader(strings.NewReader(input), from)
	var out []string
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, e.Place.String()+" "+string(e.Body))
	}
}

func TestReaderShapes(t *testing.T) {
	for _, c := range []struct {
		name, input string
		from        int
		want        []string
	}{
		{"empty", "", 1, nil},
		{"only space", " \n\n", 1, nil},
		{"one object", `{"id":"a"}`, 1, []string{`line 1 {"id":"a"}`}},
		{"one object over lines", "\n{\n \"id\": \"a\",\n \"x\": [1,\n2]}\n", 1, []string{`line 2 {"id":"a","x":[1,2]}`}},
		{"a line each", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n", 1, []string{`line 1 {"id":"a"}`, `line 2 {"id":"b"}`}},
		{"empty lines and CRLF", "{\"id\":\"a\"}\r\n\r\n\n{\"id\":\"b\"}", 1, []string{`line 1 {"id":"a"}`, `line 4 {"id":"b"}`}},
		{"objects over lines", "{\n\"id\":\"a\"}\n{\n\"id\":\"b\"\n}\n", 1, []string{`line 1 {"id":"a"}`, `line 3 {"id":"b"}`}},
		{"array", "[{\"id\":\"a\"},\n {\"id\":\"b\"}]\n", 1, []string{`event 1 {"id":"a"}`, `event 2 {"id":"b"}`}},
		{"empty array", "[]", 1, nil},
		{"array on one line, from", `[{"id":"a"},{"id":"b"},{"id":"c"}]`, 3, []string{`event 3 {"id":"c"}`}},
		{"from a line", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}", 2, []string{`line 2 {"id":"b"}`, `line 3 {"id":"c"}`}},
		{"from past a broken line", "{\"id\":\"a\"}\nbroken\n{\"id\":\"c\"}", 3, []string{`line 3 {"id":"c"}`}},
		{"from past the end", "{\"id\":\"a\"}\n", 9, nil},
		{"escapes stay", `{"id":"a","s":"é\n"}`, 1, []string{`line 1 {"id":"a","s":"é\n"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readAll(c.input, c.from)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReaderErrors(t *testing.T) {
	for _, c := range []struct {
		name, input string
		before      int // events that are read before the error
		want        string
	}{
		{"broken line", "{\"id\":\"a\"}\n\n {\"id\":\n!}\n", 1, "line 3 is not valid JSON: invalid character '!' looking for beginning of value"},
		{"not an object", "{\"id\":\"a\"}\n7\n", 1, "line 2 is not an event; an event is a JSON object"},
		{"two on a line", `{"id":"a"} {"id":"b"}`, 1, "line 1 contains more than one event; put each on its own line"},
		{"cut off", "{\"id\":\"a\"}\n{\"id\":", 1, "line 2 is truncated: the input ends within an event"},
		{"array cut off", `[{"id":"a"},`, 1, "event 2 is truncated: the input ends within an event"},
		{"array without a comma", `[{"id":"a"} {"id":"b"}]`, 1, "event 2 is not valid JSON: expected comma after array element"},
		{"array of numbers", `[{"id":"a"}, 7]`, 1, "event 2 is not an event; an event is a JSON object"},
		{"after the array", `[{"id":"a"}] {"id":"b"}`, 1, "event 2 follows the end of the array; put every event into the array"},
		{"byte order mark", "\ufeff{\"id\":\"a\"}\n", 0, "line 1 of the input begins with a byte order mark; save it as UTF-8 without one"},
		{"UTF-16 with a mark", "\xff\xfe{\x00}\x00", 0, "line 1 of the input is in UTF-16 or UTF-32; save it as UTF-8"},
		{"UTF-16", "[\x00]\x00", 0, "line 1 of the input is in UTF-16 or UTF-32; save it as UTF-8"},
		{"too long", "{\"id\":\"a\"}\n{\"x\":\"" + strings.Repeat("x", MaxEvent+(128<<10)), 1, "line 2 begins an event that exceeds the limit of 5242880 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readAll(c.input, 1)
			if len(got) != c.before {
				t.Errorf("read %d events before the error, want %d", len(got), c.before)
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestReaderGivesIDs(t *testing.T) {
	for _, c := range []struct {
		input string
		made  bool
	}{
		{`{"id":"a","name":"b"}`, false},
		{`{"name":"b","id":"a"}`, false},
		{`{"payload":{"id":"a"}}`, true},
		{`{"name":"b", "id" : null }`, true},
		{`{ }`, true},
		{`{"ID":"a"}`, true},
	} {
		e, err := NewReader(strings.NewReader(c.input), 1).Next()
		if err != nil {
			t.Fatalf("%s: %v", c.input, err)
		}
		var before, after map[string]any
		if err := json.Unmarshal(e.Body, &after); err != nil {
			t.Fatalf("%s became %s: %v", c.input, e.Body, err)
		}
		if err := json.Unmarshal([]byte(c.input), &before); err != nil {
			t.Fatal(err)
		}
		if id, _ := after["id"].(string); e.MadeID != c.made || (len(id) == 36) != c.made {
			t.Errorf("%s became %s, made %v; want made %v", c.input, e.Body, e.MadeID, c.made)
		}
		delete(before, "id")
		delete(after, "id")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: %s", c.input, diff)
		}
	}
}

// The reader holds one event, not the input: this one is of 20 MB.
func TestReaderStreams(t *testing.T) {
	line := []byte(`{"id":"a","payload":"` + strings.Repeat("x", 10_000) + "\"}\n")
	const lines = 2_000
	r := NewReader(io.LimitReader(&repeat{data: line}, int64(len(line)*lines)), 1)
	for n := 0; ; n++ {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			if n != lines {
				t.Errorf("read %d events, want %d", n, lines)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if held := r.src.offset - r.src.freed; held > 128<<10 || len(r.src.newlines) > 16 {
			t.Fatalf("after %d events the reader holds %d bytes and %d newlines", n+1, held, len(r.src.newlines))
		}
	}
}

// repeat reads data again and again.
type repeat struct {
	data []byte
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

// FuzzReader: no input may panic it; what it yields is one JSON object a line
// with an id, in order; and resuming from any event yields the rest.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "[]", "{}", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n", `[{"id":"a"},{"id":"b"}]`,
		"{\n\"id\":null}\n\n{}", "[{}", "{\"a\":1}x", "\n\n[{\"a\":{\"id\":1}}\n,{}]", "{} {}", "\xff", `{"a":"` + "\xff" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var places []int
		r := NewReader(bytes.NewReader(input), 1)
		var failed error
		for failed == nil {
			e, err := r.Next()
			if failed = err; err != nil {
				break
			}
			var object map[string]json.RawMessage
			if json.Unmarshal(e.Body, &object) != nil || object["id"] == nil || bytes.ContainsAny(e.Body, "\n\r") {
				t.Fatalf("%s is not an event in one line: %q", e.Place, e.Body)
			}
			if len(places) > 0 && e.Place.Number <= places[len(places)-1] {
				t.Fatalf("%s is after %v", e.Place, places)
			}
			places = append(places, e.Place.Number)
		}
		if len(places) == 0 {
			return
		}
		middle := len(places) / 2
		rest, err := readAll(string(input), places[middle])
		if len(rest) != len(places)-middle || fmt.Sprint(err) != fmt.Sprint(failed) && !errors.Is(failed, io.EOF) {
			t.Fatalf("from %d: %d events, %v; want %d, %v", places[middle], len(rest), err, len(places)-middle, failed)
		}
	})
}
