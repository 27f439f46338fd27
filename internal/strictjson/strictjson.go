// Package strictjson decodes the JSON that callers send: one object, without
// unknown members, duplicate names, invalid UTF-8, anything after it, or more
// nesting than MaxDepth. What it refuses is a problem.Error whose message
// names the field and its place in the body.
package strictjson

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/problem"
)

// MaxDepth is how many objects and arrays may be within each other. It is far
// above what a document needs and below what common parsers choke on.
const MaxDepth = 256

// Decode stores the JSON object in body into out, a pointer to a struct. Names
// are case-sensitive, a null leaves a pointer or slice nil, and out may be
// partly filled when there is an error. The error is problem.InvalidJSON where
// body is not JSON, problem.UnknownField for a member that out has no field
// for, and problem.InvalidRequest for a value of another type.
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

// CheckDepth returns an error if value is nested deeper than MaxDepth. It
// leaves every other fault in value to whoever decodes it.
func CheckDepth(value []byte) error {
	if bytes.Count(value, []byte{'['})+bytes.Count(value, []byte{'{'}) <= MaxDepth {
		return nil // the usual case, at the cost of a scan
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

// checkObject refuses a body that is empty or begins like another value.
// Whatever else is wrong with it is found by decoding it.
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
