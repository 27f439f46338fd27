package client

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

// withID returns the event compacted to one line. It adds a UUIDv7 to an event
// without an id, so that every retry sends the same id.
func withID(raw []byte) (body []byte, made bool, err error) {
	has, nullEnd, err := findID(raw)
	if err != nil {
		return nil, false, err
	}
	var b bytes.Buffer
	if has && nullEnd == 0 {
		err := json.Compact(&b, raw)
		return b.Bytes(), false, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, false, fmt.Errorf("generate an event id: %w", err)
	}
	quoted := `"` + id.String() + `"`
	var whole []byte
	switch {
	case has:
		whole = append(append(append(whole, raw[:nullEnd-len("null")]...), quoted...), raw[nullEnd:]...)
	case len(bytes.Trim(raw, "{} \t\r\n")) == 0:
		whole = []byte(`{"id":` + quoted + `}`)
	default:
		whole = append([]byte(`{"id":`+quoted+`,`), raw[1:]...)
	}
	err = json.Compact(&b, whole)
	return b.Bytes(), true, err
}

// findID reports whether the object has a member "id" and, if that is null, the
// offset of its end.
func findID(raw []byte) (has bool, nullEnd int, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return false, 0, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return false, 0, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return false, 0, err
		}
		if key != "id" {
			continue
		}
		if string(value) == "null" {
			return true, int(dec.InputOffset()), nil
		}
		return true, 0, nil
	}
	return false, 0, nil
}
