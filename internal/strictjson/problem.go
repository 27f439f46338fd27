package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/problem"
)

var errDepth = fmt.Errorf("is nested deeper than %d levels", MaxDepth)

// Place locates a part of a caller's body that is decoded separately, so that its
// errors are reported by their place in the body.
type Place struct {
	Body   []byte
	Offset int    // of the part, in bytes from the start of Body
	Prefix string // of the paths in the part: "events[3]"
}

// Problem converts an error of the packages json and jsontext to a problem.Error.
// Its message contains names from the body but never values.
func (p Place) Problem(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return p.syntactic(e)
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return p.semantic(e)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.New(problem.InvalidJSON, "%s.", p.at("the JSON ends too early", "", len(p.Body)-p.Offset))
	}
	return problem.Wrap(err, problem.InvalidJSON, "The body is not valid JSON.")
}

func (p Place) syntactic(e *jsontext.SyntacticError) error {
	what := "is not valid JSON"
	switch {
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		what = "is given twice"
	case errors.Is(e.Err, io.ErrUnexpectedEOF):
		what = "is not valid JSON: it ends too early"
	case errors.Is(e.Err, errDepth):
		what = errDepth.Error()
	case e.Err != nil:
		what += ": " + strings.ToValidUTF8(e.Err.Error(), "\uFFFD")
	}
	return problem.New(problem.InvalidJSON, "%s.", p.at(what, e.JSONPointer, int(e.ByteOffset)))
}

func (p Place) semantic(e *json.SemanticError) error {
	if errors.Is(e.Err, json.ErrUnknownName) {
		return problem.New(problem.UnknownField, "%s.",
			p.at("is not a known field; check its spelling", e.JSONPointer, int(e.ByteOffset)))
	}
	what := "has an invalid value"
	if want := typeWord(e.GoType); want != "" {
		what = "must be " + want
		if got := kindWord(e.JSONKind); got != "" && got != want {
			what += ", not " + got
		}
	}
	return problem.New(problem.InvalidRequest, "%s.", p.at(what, e.JSONPointer, int(e.ByteOffset)))
}

// at returns a message about the value at pointer, with its line and column.
func (p Place) at(what string, pointer jsontext.Pointer, offset int) string {
	path := Path(p.Prefix, pointer)
	if path == "" {
		path = "The body"
	}
	line, column := p.position(offset)
	return fmt.Sprintf("%s %s (line %d, column %d)", path, what, line, column)
}

// position returns the line and column of an offset, both counted from 1; columns
// count characters.
func (p Place) position(offset int) (line, column int) {
	before := p.Body[:min(max(p.Offset+offset, 0), len(p.Body))]
	return 1 + bytes.Count(before, []byte{'\n'}), 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// Limits of names and paths in messages, in bytes.
const (
	maxName = 64
	maxPath = 256
)

// Path returns prefix and a JSON pointer in readable form:
// "filter_conditions.event_filter[2]". It truncates long paths and names.
func Path(prefix string, pointer jsontext.Pointer) string {
	b := []byte(prefix)
	for token := range pointer.Tokens() {
		if len(b) > maxPath {
			return string(append(b, "…"...))
		}
		switch {
		case isIndex(token):
			b = append(append(append(b, '['), token...), ']')
		case isPlain(token):
			if len(b) > 0 && b[len(b)-1] != ' ' {
				b = append(b, '.')
			}
			b = append(b, token...)
		default:
			b = append(strconv.AppendQuote(append(b, '['), cut(token)), ']')
		}
	}
	return string(b)
}

func isIndex(s string) bool {
	return s != "" && len(s) <= 9 && strings.Trim(s, "0123456789") == ""
}

func isPlain(s string) bool {
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
}

func cut(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxName {
		return s
	}
	end := maxName
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

func kindWord(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "a list"
	}
	return ""
}

func typeWord(t reflect.Type) string {
	if t == nil {
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWord(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	if t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 {
		return "a number"
	}
	return ""
}
