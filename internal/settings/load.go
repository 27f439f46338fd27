package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/internal/usertext"
)

// Load sets rows with this precedence: flag, environment, config file, default.
// The flags must have been parsed into the rows already; fromFlag reports which
// rows were set by a flag, and those keep their value. An empty path means no
// config file. The error joins a *SourceError for each fault; the rows are then
// partly set and must not be used. It returns also how to name the rows in errors.
func Load(rows []Setting, path string, lookupEnv func(string) (string, bool), fromFlag func(name string) bool) (Names, error) {
	given := map[string]string{}
	for _, row := range rows {
		if fromFlag(row.Name) {
			given[row.Name] = row.String()
		}
	}
	lines, fileErr := map[string]int{}, error(nil)
	if path != "" {
		lines, fileErr = loadFile(rows, path)
	}
	errs := []error{fileErr, LoadEnv(rows, lookupEnv)}
	names := Names{}
	for _, row := range rows {
		text, isFlag := given[row.Name]
		_, isEnv := lookupEnv(row.Env())
		line := lines[row.Key()]
		switch {
		case isFlag:
			errs = append(errs, row.Set(text))
			names[row.Env()] = "--" + row.Name
		case isEnv:
			names[row.Env()] = row.Env()
		case line > 0:
			names[row.Env()] = fmt.Sprintf("%s (%s:%d)", row.Key(), path, line)
		default: // as the help lists it
			names[row.Env()] = "--" + row.Name
		}
	}
	return names, errors.Join(errs...)
}

// SourceError is a fault in the config file or the environment.
type SourceError struct {
	File  string // "" for the environment
	Line  int    // in the file, from 1; 0 if the fault is not in one line
	Name  string // the key or environment variable; "" if the fault is not in one
	Cause error
}

// Error names the place, the setting and the fault: "sluice.yaml:3: lanes: …".
func (e *SourceError) Error() string {
	var where strings.Builder
	if e.File != "" {
		where.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&where, ":%d", e.Line)
		}
		where.WriteString(": ")
	}
	if e.Name != "" {
		where.WriteString(e.Name + ": ")
	}
	return where.String() + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Cause }

// LoadEnv sets the rows whose environment variable is set, even if to "". Its
// error joins a *SourceError for each invalid value.
func LoadEnv(rows []Setting, lookup func(string) (string, bool)) error {
	var errs []error
	for _, row := range rows {
		if text, ok := lookup(row.Env()); ok {
			if err := row.Set(text); err != nil {
				errs = append(errs, &SourceError{Name: row.Env(), Cause: err})
			}
		}
	}
	return errors.Join(errs...)
}

// clientEnv lists variables with the prefix of settings that are none: they are
// for the commands that call a server.
var clientEnv = []string{"SLUICE_URL", "SLUICE_TOKEN"}

// UnknownEnv returns, sorted, the names in environ ("NAME=value", as from
// os.Environ) that start with SLUICE_ but are no setting: most likely typos.
func UnknownEnv(rows []Setting, environ []string) []string {
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		known := slices.Contains(clientEnv, name) ||
			slices.ContainsFunc(rows, func(row Setting) bool { return row.Env() == name })
		if strings.HasPrefix(name, envPrefix) && !known {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// maxFileBytes limits the config file; real ones are far smaller.
const maxFileBytes = 1 << 20

// LoadFile sets rows from a YAML file that maps keys (Setting.Key) to values.
// Its error joins a *SourceError for each fault.
func LoadFile(rows []Setting, path string) error {
	_, err := loadFile(rows, path)
	return err
}

// loadFile is LoadFile, and returns the line of each key too.
func loadFile(rows []Setting, path string) (lines map[string]int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the config file: %w; check --config or SLUICE_CONFIG", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the config file: %w", err)
	}
	if len(content) > maxFileBytes {
		return nil, &SourceError{File: path, Cause: fmt.Errorf("exceeds the limit of %d bytes for a config file", maxFileBytes)}
	}
	return loadYAML(rows, path, content)
}

func loadYAML(rows []Setting, path string, content []byte) (lines map[string]int, err error) {
	lines = map[string]int{}
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	var document, next yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return lines, nil // nothing but comments
	} else if err != nil {
		if wrong := usertext.CheckEncoding(content); wrong != nil {
			return nil, &SourceError{File: path, Cause: wrong}
		}
		return nil, &SourceError{File: path, Cause: fmt.Errorf("is not YAML: %w", err)}
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, &SourceError{File: path, Cause: errors.New("must be a single YAML document, but another one follows")}
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return lines, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, &SourceError{File: path, Line: root.Line, Cause: errors.New("must be lines of the form key: value")}
	}
	byKey := map[string]Setting{}
	for _, row := range rows {
		byKey[row.Key()] = row
	}
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := setFromYAML(byKey, lines, key, value); err != nil {
			errs = append(errs, &SourceError{File: path, Line: key.Line, Name: key.Value, Cause: err})
		}
	}
	return lines, errors.Join(errs...)
}

func setFromYAML(byKey map[string]Setting, lines map[string]int, key, value *yaml.Node) error {
	if key.Kind != yaml.ScalarNode {
		return errors.New("a key must be the name of a setting")
	}
	if line, ok := lines[key.Value]; ok {
		return fmt.Errorf("is set twice, also in line %d; remove one", line)
	}
	lines[key.Value] = key.Line
	row, ok := byKey[key.Value]
	if !ok { // do not show its value: it may be a misplaced secret
		return unknownKey(byKey, key.Value)
	}
	switch {
	case value.Kind != yaml.ScalarNode:
		return fmt.Errorf("must be a single value of type %s, on the line of its key", row.Type())
	case value.Tag == "!!null":
		return fmt.Errorf("has no value; set one of type %s, or remove the key", row.Type())
	case !slices.Contains(yamlTags[row.Type()], value.Tag):
		return fmt.Errorf("%q is a YAML %s, but the setting is of type %s%s",
			value.Value, strings.TrimPrefix(value.Tag, "!!"), row.Type(), yamlHints[row.Type()])
	}
	return row.Set(value.Value)
}

// yamlTags lists the YAML types allowed for each type of setting. A duration
// may be a number here: its Set refuses it with a better message.
var yamlTags = map[string][]string{
	"count":    {"!!int"},
	"duration": {"!!str", "!!int"},
	"size":     {"!!str", "!!int"},
	"text":     {"!!str"},
	"bool":     {"!!bool"},
}

var yamlHints = map[string]string{
	"count": "; write it as digits, without quotes",
	"text":  "; put it in quotes",
	"bool":  "; write true or false, without quotes",
}

func unknownKey(byKey map[string]Setting, key string) error {
	likely := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	likely = strings.TrimPrefix(likely, strings.ToLower(envPrefix))
	if _, ok := byKey[likely]; ok {
		return fmt.Errorf("is not a setting; in a config file it is spelled %s", likely)
	}
	return errors.New("is not a setting")
}
