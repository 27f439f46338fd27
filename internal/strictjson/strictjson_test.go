package strictjson_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/strictjson"
)

type document struct {
	ID    *string  `json:"id"`
	Names []string `json:"names"`
	Count *int     `json:"count"`
	Sub   *struct {
		URL *string `json:"url"`
	} `json:"sub"`
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name, body string
		code       problem.Code
		message    string
	}{
		{"nothing", "", problem.InvalidJSON, "The body is empty; send a JSON object."},
		{"white space", " \n", problem.InvalidJSON, "The body is empty; send a JSON object."},
		{"null", "null", problem.InvalidRequest, "The body must be a JSON object, not null."},
		{"a list", `[{"id":"a"}]`, problem.InvalidRequest, "The body must be a JSON object, not a list."},
		{"a word", `hello`, problem.InvalidJSON, "The body is not valid JSON: invalid character 'h' at start of value (line 1, column 1)."},
		{"cut off", "{\"id\": \n \"a", problem.InvalidJSON, "id is not valid JSON: it ends too early (line 2, column 4)."},
		{"a comma too many", "{\"id\": \"a\",\n}", problem.InvalidJSON, "The body is not valid JSON: invalid character ',' at start of value (line 1, column 11)."},
		{"a second value", `{"id":"a"} {}`, problem.InvalidJSON, "The body is not valid JSON: invalid character '{' after top-level value (line 1, column 12)."},
		{"unknown field", "{\n  \"ends\": 1}", problem.UnknownField, "ends is not a known field; check its spelling (line 2, column 3)."},
		{"unknown field within", `{"sub":{"uri":"x"}}`, problem.UnknownField, "sub.uri is not a known field; check its spelling (line 1, column 9)."},
		{"another case", `{"ID":"a"}`, problem.UnknownField, "ID is not a known field; check its spelling (line 1, column 2)."},
		{"given twice", `{"sub":{"url":"a","url":"b"}}`, problem.InvalidJSON, "sub.url is given twice (line 1, column 19)."},
		{"wrong type", `{"id":5}`, problem.InvalidRequest, "id must be a string, not a number (line 1, column 7)."},
		{"wrong type within", `{"names":["a",{}]}`, problem.InvalidRequest, "names[1] must be a string, not an object (line 1, column 15)."},
		{"a list for an object", `{"sub":[]}`, problem.InvalidRequest, "sub must be an object, not a list (line 1, column 8)."},
		{"too large a number", `{"count":1e400}`, problem.InvalidRequest, "count must be a number (line 1, column 10)."},
		{"invalid UTF-8", "{\"id\":\"\xff\"}", problem.InvalidJSON, "id is not valid JSON: invalid UTF-8 (line 1, column 8)."},
		{"half a surrogate", `{"id":"\ud800"}`, problem.InvalidJSON, ""},
		{"odd name", "{\"a b\\n\":1}", problem.UnknownField, `["a b\n"] is not a known field; check its spelling (line 1, column 2).`},
		{"deep", strings.Repeat("[", 100_000), problem.InvalidJSON, ""},
		{"deep within", `{"sub":` + strings.Repeat(`{"sub":`, 100_000), problem.InvalidJSON, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d document
			err := strictjson.Decode([]byte(tt.body), &d)
			if got := problem.CodeOf(err); got != tt.code {
				t.Fatalf("code %q, want %q: %v", got, tt.code, err)
			}
			got := problem.MessageOf(err)
			if diff := cmp.Diff(tt.message, got); tt.message != "" && diff != "" {
				t.Error(diff)
			}
			if len(got) > 600 {
				t.Errorf("a message of %d bytes: %s", len(got), got)
			}
		})
	}
}

func TestDecodeTakes(t *testing.T) {
	var d document
	body := `{"id":"é\u2028","names":[],"count":null,"sub":{"url":"u"}}`
	if err := strictjson.Decode([]byte(" "+body+"\n"), &d); err != nil {
		t.Fatal(err)
	}
	if d.ID == nil || *d.ID != "é\u2028" || d.Names == nil || d.Count != nil || *d.Sub.URL != "u" {
		t.Errorf("got %+v", d)
	}
	if err := strictjson.Decode([]byte(`{"names":null}`), &d); err != nil || d.Names != nil {
		t.Errorf("null left %v, %v", d.Names, err)
	}
}

func TestDepthIsAllowedUpToTheBound(t *testing.T) {
	at := strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth)
	if err := strictjson.CheckDepth([]byte(at)); err != nil {
		t.Error(err)
	}
	err := strictjson.CheckDepth([]byte("[" + at + "]"))
	if err == nil {
		t.Fatal("one more level was accepted")
	}
	place := strictjson.Place{Body: []byte("\n[" + at + "]"), Offset: 1, Prefix: "payload"}
	if got := problem.MessageOf(place.Problem(err)); !strings.HasPrefix(got, "payload[0][0]") || !strings.HasSuffix(got, "levels (line 2, column 257).") {
		t.Error(got)
	}
	wide := "[" + strings.Repeat("[],", strictjson.MaxDepth) + "[]]"
	if err := strictjson.CheckDepth([]byte(wide)); err != nil {
		t.Error(err)
	}
}

func TestMessagesHoldNoValues(t *testing.T) {
	const value = "hunter2hunter2"
	for _, body := range []string{
		`{"count":"` + value + `"}`, `{"id":["` + value + `"]}`, `{"sub":"` + value + `"}`,
		`{"id":"` + value, `{"id":"` + value + "\xff", `{"id":"` + value + `\x"}`, `{"id":"` + value + `" 1}`,
	} {
		err := strictjson.Decode([]byte(body), new(document))
		if err == nil || strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"id":"a","names":["b"],"count":3,"sub":{"url":"u"}}`, `{"id":1}`, `{"x":1}`, `[[`, "{\"\xff\":0}", `{"sub":{"url":null}}`, `{"id":"a","id":"b"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		given := bytes.Clone(body)
		var d document
		err := strictjson.Decode(body, &d)
		if !bytes.Equal(given, body) {
			t.Fatal("the body was changed")
		}
		if err == nil {
			return
		}
		e, ok := errors.AsType[*problem.Error](err)
		if !ok || e.Code != problem.InvalidJSON && e.Code != problem.InvalidRequest && e.Code != problem.UnknownField {
			t.Fatalf("not a problem of the caller: %v", err)
		}
		if !utf8.ValidString(e.Message) || len(e.Message) > 1000 {
			t.Fatalf("message %q", e.Message)
		}
	})
}
