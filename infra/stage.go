package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// stage is one deployment: an entry of "stages" in the context.
type stage struct {
	Name string `json:"-"`
	// Parameters are the template parameters that differ from their defaults.
	Parameters map[string]string `json:"parameters"`
}

// stagesOf returns the "stages" of the context, sorted by name.
func stagesOf(context any) ([]stage, error) {
	if context == nil {
		return nil, errors.New(`the context has no "stages"; see cdk.json for an example`)
	}
	text, err := json.Marshal(context)
	if err != nil {
		return nil, fmt.Errorf(`"stages" of the context: %w`, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	byName := map[string]stage{}
	if err := decoder.Decode(&byName); err != nil {
		return nil, fmt.Errorf(`"stages" of the context must map names to {"parameters":{…}}: %w`, err)
	}
	var stages []stage
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		s := byName[name]
		s.Name = name
		if _, ok := s.Parameters["Stage"]; ok {
			return nil, fmt.Errorf("stage %s: the parameter Stage is the stage's name; leave it out", name)
		}
		stages = append(stages, s)
	}
	return stages, nil
}
