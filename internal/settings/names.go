package settings

import "regexp"

// Names says how to name each setting in an error to the person who set it: by its flag, its
// key with the place in the config file, or its environment variable. The keys are names of
// environment variables, by which errors of every package name settings.
type Names map[string]string

var envName = regexp.MustCompile(envPrefix + "[A-Z0-9_]+")

// Named returns err with the settings in its text named as they were given; nil for nil.
func (n Names) Named(err error) error {
	if err == nil {
		return nil
	}
	text := envName.ReplaceAllStringFunc(err.Error(), func(env string) string {
		if name, ok := n[env]; ok {
			return name
		}
		return env
	})
	return &namedError{text, err}
}

type namedError struct {
	text string
	err  error
}

// Error implements error.
func (e *namedError) Error() string { return e.text }

// Unwrap returns the error with the names of environment variables.
func (e *namedError) Unwrap() error { return e.err }
