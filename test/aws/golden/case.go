// Package golden runs the sample inputs in events/ through the real functions:
// what was there before is in a file beside the input, and what comes of it in
// a golden file. The tests and `make invoke` use it.
package golden

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/test/aws/stack"
)

// The files of a case begin with its name:
//
//	<name>.json          the input
//	<name>.golden.json   the outcome
//	<name>.given.json    what happens before; may be missing
//	<name>.records.json  of fanout: what the input is made from
const (
	goldenEnd  = ".golden.json"
	givenEnd   = ".given.json"
	recordsEnd = ".records.json"
	inputEnd   = ".json"
)

// Case is one sample input.
type Case struct {
	Function, Name string
	dir            string
}

// String is the case's name in full.
func (c Case) String() string { return c.Function + "/" + c.Name }

// Folder is the folder of the samples; it has one for each function.
func Folder() string { return filepath.Join(stack.Root(), "events") }

// Functions are the names of those that have samples.
func Functions() ([]string, error) {
	entries, err := os.ReadDir(Folder())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "samples" { // events to publish
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Cases returns the cases of a function by name. A file that belongs to none is
// an error.
func Cases(function string) ([]Case, error) {
	dir := filepath.Join(Folder(), function)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var cases []Case
	belongs := map[string]string{} // file: case
	for _, e := range entries {
		name, isJSON := strings.CutSuffix(e.Name(), inputEnd)
		if !isJSON {
			return nil, fmt.Errorf("%s is in the way: samples end in %s", filepath.Join(dir, e.Name()), inputEnd)
		}
		if base, end, more := strings.Cut(name, "."); more {
			if !slices.Contains([]string{goldenEnd, givenEnd, recordsEnd}, "."+end+inputEnd) {
				return nil, fmt.Errorf("%s is neither an input nor beside one", filepath.Join(dir, e.Name()))
			}
			belongs[e.Name()] = base
			if "."+end+inputEnd != recordsEnd {
				continue
			}
			name = base // its input is made
		}
		if slices.ContainsFunc(cases, func(c Case) bool { return c.Name == name }) {
			continue
		}
		cases = append(cases, Case{Function: function, Name: name, dir: dir})
	}
	for file, name := range belongs {
		if !slices.ContainsFunc(cases, func(c Case) bool { return c.Name == name }) {
			return nil, fmt.Errorf("%s has no input %s beside it", filepath.Join(dir, file), name+inputEnd)
		}
	}
	return cases, nil
}

// Find returns the case of that name.
func Find(function, name string) (Case, error) {
	cases, err := Cases(function)
	if err != nil {
		return Case{}, err
	}
	for _, c := range cases {
		if c.Name == name {
			return c, nil
		}
	}
	return Case{}, fmt.Errorf("%s has no case %q", function, name)
}

func (c Case) path(end string) string { return filepath.Join(c.dir, c.Name+end) }

// Golden is what the outcome is to be. There may be none.
func (c Case) Golden() ([]byte, error) { return os.ReadFile(c.path(goldenEnd)) }

// WriteGolden keeps an outcome.
func (c Case) WriteGolden(text []byte) error { return os.WriteFile(c.path(goldenEnd), text, 0o600) }

// Input is the sample input.
func (c Case) Input() ([]byte, error) { return os.ReadFile(c.path(inputEnd)) }

// WriteInput keeps an input that was made.
func (c Case) WriteInput(text []byte) error { return os.WriteFile(c.path(inputEnd), text, 0o600) }

// optional returns the text of a file that may be missing.
func (c Case) optional(end string) ([]byte, error) {
	text, err := os.ReadFile(c.path(end))
	if os.IsNotExist(err) {
		return nil, nil
	}
	return text, err
}

// decodeStrict decodes JSON that has nothing unknown in it.
func decodeStrict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
