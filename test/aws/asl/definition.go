// Package asl executes state machines of AWS Step Functions for tests: on the
// definition that is deployed, in the process, and by the timers of package
// time, so that in a bubble of testing/synctest days of waiting take no time.
//
// It knows the part of the Amazon States Language that the project's
// definitions use, in JSONPath. Whatever else a definition has is an error of
// Parse and never ignored. Not kept are the limits of an account and of the
// size of data between states.
package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Definition is a state machine that was parsed and found to be sound.
type Definition struct {
	startAt string
	states  map[string]state
}

// state is one state of a definition. Its execute returns the name of the next
// one, "" after the last.
type state interface {
	execute(x *execution, input any) (output any, next string, err error)
	targets() []string // where it may lead to
	check() error
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// Parse reads a definition, with ${Name} replaced by its substitution. Each
// placeholder must have a substitution, and each substitution a placeholder.
func Parse(text []byte, substitutions map[string]string) (*Definition, error) {
	text, err := substitute(text, substitutions)
	if err != nil {
		return nil, err
	}
	var top struct {
		Comment string
		StartAt string
		States  map[string]json.RawMessage
	}
	if err := decode(text, &top); err != nil {
		return nil, fmt.Errorf("the definition: %w", err)
	}
	d := &Definition{startAt: top.StartAt, states: map[string]state{}}
	for name, text := range top.States {
		s, err := parseState(text)
		if err == nil {
			err = s.check()
		}
		if err != nil {
			return nil, fmt.Errorf("state %q: %w", name, err)
		}
		d.states[name] = s
	}
	return d, d.checkPaths()
}

func substitute(text []byte, substitutions map[string]string) ([]byte, error) {
	unused := maps.Clone(substitutions)
	var missing []string
	text = placeholder.ReplaceAllFunc(text, func(found []byte) []byte {
		name := string(found[2 : len(found)-1])
		value, ok := substitutions[name]
		if !ok {
			missing = append(missing, name)
		}
		delete(unused, name)
		quoted := write(value)
		return quoted[1 : len(quoted)-1]
	})
	switch {
	case len(missing) > 0:
		return nil, fmt.Errorf("the definition has placeholders without a substitution: %s", strings.Join(missing, ", "))
	case len(unused) > 0:
		return nil, fmt.Errorf("the definition has no placeholder for %s", strings.Join(slices.Sorted(maps.Keys(unused)), ", "))
	}
	return text, nil
}

// decode reads one JSON value and refuses fields that the target has not.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("there is something after its end")
	}
	return nil
}

func parseState(text []byte) (state, error) {
	var kind struct{ Type string }
	if err := json.Unmarshal(text, &kind); err != nil {
		return nil, err
	}
	var s state
	switch kind.Type {
	case "Task":
		s = &task{TimeoutSeconds: defaultTimeout}
	case "Wait":
		s = &wait{}
	case "Choice":
		s = &choice{}
	case "Succeed":
		s = &succeed{}
	case "Fail":
		s = &fail{}
	default:
		return nil, fmt.Errorf("it is of type %q, which is not known here", kind.Type)
	}
	return s, decode(text, s)
}

// checkPaths finds names that lead nowhere, states that nothing leads to, and
// states from which there is no end.
func (d *Definition) checkPaths() error {
	if d.states[d.startAt] == nil {
		return fmt.Errorf("StartAt is %q, which is no state", d.startAt)
	}
	from := map[string][]string{}
	var ends []string
	for name, s := range d.states {
		for _, next := range s.targets() {
			if d.states[next] == nil {
				return fmt.Errorf("state %q leads to %q, which is no state", name, next)
			}
			from[next] = append(from[next], name)
		}
		if len(s.targets()) == 0 {
			ends = append(ends, name)
		}
	}
	reached := reach([]string{d.startAt}, func(name string) []string { return d.states[name].targets() })
	ending := reach(ends, func(name string) []string { return from[name] })
	for name := range d.states {
		if !reached[name] {
			return fmt.Errorf("nothing leads to state %q", name)
		}
		if !ending[name] {
			return fmt.Errorf("from state %q there is no way to an end", name)
		}
	}
	return nil
}

func reach(names []string, next func(string) []string) map[string]bool {
	reached := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if reached[name] {
			continue
		}
		reached[name] = true
		names = append(slices.Clip(names), next(name)...)
	}
	return reached
}
