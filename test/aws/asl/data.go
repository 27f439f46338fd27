package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
)

// path is a JSONPath of the part that is known here: $, or names after it, as
// in $.a.b.
type path []string

var pathForm = regexp.MustCompile(`^\$(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// UnmarshalJSON implements json.Unmarshaler.
func (p *path) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("a path is a text, not %s", text)
	}
	if !pathForm.MatchString(s) {
		return fmt.Errorf("path %q is none of those known here: $ and $.name.name", s)
	}
	*p = strings.Split(s, ".")[1:]
	return nil
}

func (p path) String() string { return strings.Join(append([]string{"$"}, p...), ".") }

// of returns what the path leads to in the data. That it leads nowhere ends an
// execution.
func (p path) of(data any) (any, error) {
	for _, name := range p {
		object, _ := data.(map[string]any)
		value, ok := object[name]
		if !ok {
			return nil, runtime("the path %s leads nowhere", p)
		}
		data = value
	}
	return data, nil
}

// fill returns a payload template with the fields that end in .$ replaced.
func fill(template, data any) (any, error) {
	object, ok := template.(map[string]any)
	if !ok {
		return template, nil // lists have no templates in them, see checkTemplate
	}
	filled := make(map[string]any, len(object))
	for name, value := range object {
		short, isPath := strings.CutSuffix(name, ".$")
		if !isPath {
			var err error
			if filled[name], err = fill(value, data); err != nil {
				return nil, err
			}
			continue
		}
		p, err := pathIn(name, value)
		if err != nil {
			return nil, err
		}
		if filled[short], err = p.of(data); err != nil {
			return nil, err
		}
	}
	return filled, nil
}

func pathIn(name string, value any) (path, error) {
	s, ok := value.(string)
	if !ok || !pathForm.MatchString(s) {
		return nil, fmt.Errorf("%q is %v, which is none of the paths known here: $ and $.name.name", name, value)
	}
	return strings.Split(s, ".")[1:], nil
}

// checkTemplate finds what fill would not do right.
func checkTemplate(template any) error {
	switch v := template.(type) {
	case []any:
		return fmt.Errorf("lists in a template are not known here: %v", v)
	case map[string]any:
		for name, value := range v {
			if strings.HasSuffix(name, ".$") {
				if _, err := pathIn(name, value); err != nil {
					return err
				}
				continue
			}
			if err := checkTemplate(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// number returns a JSON number.
func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil && !math.IsNaN(f)
}

// read decodes data, with numbers as they are written.
func read(text []byte) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("there is something after the JSON value")
	}
	return v, nil
}

// write encodes data. It cannot fail: all data was read from JSON.
func write(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("asl: data that is not JSON: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
