// Package golden runs the sample inputs in events/ through the real functions. A
// file next to the input has the preconditions, and a golden file the expected
// outcome. The tests and `make invoke` use it.
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
//	<name>.golden.json   the expected outcome
//	<name>.given.json    the preconditions; optional
//	<name>.records.json  fanout only: the records that the input is generated from
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

// String returns the case's full name.
func (c Case) String() string { return c.Function + "/" + c.Name }

// Folder returns the folder of the samples, which has a folder for each function.
func Folder() string { return filepath.Join(stack.Root(), "events") }

// Functions returns the names of the functions with samples.
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

// Cases returns the cases of a function by name. A file that belongs to no case is
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
			return nil, fmt.Errorf("%s is not a sample: the names of samples end in %s", filepath.Join(dir, e.Name()), inputEnd)
		}
		if base, end, more := strings.Cut(name, "."); more {
			if !slices.Contains([]string{goldenEnd, givenEnd, recordsEnd}, "."+end+inputEnd) {
				return nil, fmt.Errorf("%s is neither an input nor belongs to one", filepath.Join(dir, e.Name()))
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
			return nil, fmt.Errorf("%s has no input %s next to it", filepath.Join(dir, file), name+inputEnd)
		}
	}
	return cases, nil
}

// Find returns the case with the name.
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

// Golden returns the expected outcome, nil if there is none.
func (c Case) Golden() ([]byte, error) { return os.ReadFile(c.path(goldenEnd)) }

// WriteGolden writes an outcome to the golden file.
func (c Case) WriteGolden(text []byte) error { return os.WriteFile(c.path(goldenEnd), text, 0o600) }

// Input returns the sample input.
func (c Case) Input() ([]byte, error) { return os.ReadFile(c.path(inputEnd)) }

// WriteInput writes a generated input.
func (c Case) WriteInput(text []byte) error { return os.WriteFile(c.path(inputEnd), text, 0o600) }

// optional returns the text of a file that may be missing.
func (c Case) optional(end string) ([]byte, error) {
	text, err := os.ReadFile(c.path(end))
	if os.IsNotExist(err) {
		return nil, nil
	}
	return text, err
}

// decodeStrict decodes JSON and rejects unknown fields.
func decodeStrict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
