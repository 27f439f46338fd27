package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// sample is one of the sample events.
type sample struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Payload json.RawMessage `json:"payload"`
}

// readSamples reads events/samples.
func readSamples() ([]sample, error) {
	files, err := filepath.Glob("events/samples/*.ndjson")
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, errors.New("no events/samples/*.ndjson: run this from the root of the repository"))
	}
	var samples []sample
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(content) {
			var s sample
			if err := json.Unmarshal(line, &s); err != nil {
				return nil, err
			}
			samples = append(samples, s)
		}
	}
	return samples, nil
}

// padded returns the sample with its payload padded to about the given size.
func (s sample) padded(size int) sample {
	if more := size - len(s.Payload); more > 0 {
		payload := append([]byte(`{"padding":"`), bytes.Repeat([]byte("x"), more)...)
		s.Payload = append(append(payload, `",`...), s.Payload[1:]...)
	}
	return s
}
