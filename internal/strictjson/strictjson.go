// Package strictjson decodes JSON from callers: one object, without unknown members,
// duplicate names, invalid UTF-8, trailing data, or nesting deeper than MaxDepth. Its
// errors are problem.Errors whose messages name the field and its place in the body.
package strictjson

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/problem"
)

// MaxDepth limits the nesting of objects and arrays. It is far more than a document
// needs and less than common parsers support.
const MaxDepth = 256

// Decode decodes the JSON object in body into out, a pointer to a struct. Names are
// case-sensitive, and null leaves a pointer or slice nil. On error, out may be partly
// filled. The error is problem.InvalidJSON if body is not valid JSON,
// problem.UnknownField for a member without a field in out, and
// problem.InvalidRequest for a value of the wrong type.
func Decode(body []byte, out any) error {
	place := Place{Body: body}
	if err := CheckDepth(body); err != nil {
		return place.Problem(err)
	}
	if err := checkObject(body); err != nil {
		return err
	}
	if err := json.Unmarshal(body, out, json.RejectUnknownMembers(true)); err != nil {
		return place.Problem(err)
	}
	return nil
}

// CheckDepth returns an error if value is nested deeper than MaxDepth. It ignores
// all other faults of value.
func CheckDepth(value []byte) error {
	if bytes.Count(value, []byte{'['})+bytes.Count(value, []byte{'{'}) <= MaxDepth {
		return nil // the usual case, without decoding
	}
	dec := jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true))
	for {
		if _, err := dec.ReadToken(); err != nil {
			return nil
		}
		if dec.StackDepth() > MaxDepth {
			return &jsontext.SyntacticError{
				ByteOffset:  dec.InputOffset() - 1,
				JSONPointer: dec.StackPointer(),
				Err:         errDepth,
			}
		}
	}
}

// checkObject refuses a body that is empty or is another value than an object.
// Decoding finds all other faults.
func checkObject(body []byte) error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return problem.New(problem.InvalidJSON, "The body is empty; send a JSON object.")
	}
	if kind := jsontext.Value(trimmed).Kind(); kind != jsontext.KindBeginObject && kindWord(kind) != "" {
		return problem.New(problem.InvalidRequest, "The body must be a JSON object, not %s.", kindWord(kind))
	}
	return nil
}
