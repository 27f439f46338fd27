package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.yaml.in/yaml/v3"
)

// function is the part of an AWS::Serverless::Function that a stack needs.
type function struct {
	CodeURI    string             `yaml:"CodeUri"`
	MemorySize int                `yaml:"MemorySize"` // MB
	Timeout    int                `yaml:"Timeout"`    // s
	Events     map[string]trigger `yaml:"Events"`
}

type trigger struct {
	Type       string `yaml:"Type"`
	Properties struct {
		BatchSize             int      `yaml:"BatchSize"`
		BatchingWindow        int      `yaml:"MaximumBatchingWindowInSeconds"`
		FunctionResponseTypes []string `yaml:"FunctionResponseTypes"`
		Bisect                bool     `yaml:"BisectBatchOnFunctionError"`
		MaximumRetryAttempts  int      `yaml:"MaximumRetryAttempts"`
	} `yaml:"Properties"`
}

// template is the part of template.yaml that a stack needs.
type template struct {
	defaults  map[string]string    // of parameters
	variables map[string]yaml.Node // of every function's environment
	open      []string             // routes without authorizer, as "GET /healthz"
	functions map[string]function  // by the last part of CodeUri
	steps     queueProperties
}

// queueProperties are those of the queue Steps.
type queueProperties struct {
	VisibilityTimeout int `yaml:"VisibilityTimeout"` // s
	RedrivePolicy     struct {
		MaxReceiveCount int `yaml:"maxReceiveCount"`
	} `yaml:"RedrivePolicy"`
}

// Root returns the root folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

func readTemplate() (*template, error) {
	text, err := os.ReadFile(filepath.Join(Root(), "template.yaml"))
	if err != nil {
		return nil, err
	}
	var doc struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Globals struct {
			Function struct {
				Environment struct {
					Variables map[string]yaml.Node `yaml:"Variables"`
				} `yaml:"Environment"`
			} `yaml:"Function"`
		} `yaml:"Globals"`
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	t := &template{
		defaults: map[string]string{}, variables: doc.Globals.Function.Environment.Variables,
		functions: map[string]function{},
	}
	for name, p := range doc.Parameters {
		t.defaults[name] = p.Default
	}
	steps := doc.Resources["Steps"]
	if err := steps.Properties.Decode(&t.steps); err != nil {
		return nil, fmt.Errorf("queue Steps: %w", err)
	}
	for id, r := range doc.Resources {
		if err := t.add(r.Type, &r.Properties); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
	}
	if len(t.functions) != len(names) {
		return nil, fmt.Errorf("template.yaml has %d functions, want %d", len(t.functions), len(names))
	}
	return t, nil
}

// add adds a resource, if a stack needs it.
func (t *template) add(kind string, properties *yaml.Node) error {
	switch kind {
	case "AWS::Serverless::Function":
		var f function
		if err := properties.Decode(&f); err != nil {
			return err
		}
		t.functions[filepath.Base(f.CodeURI)] = f
	case "AWS::ApiGatewayV2::Route":
		var r struct {
			RouteKey          string `yaml:"RouteKey"`
			AuthorizationType string `yaml:"AuthorizationType"`
		}
		if err := properties.Decode(&r); err != nil {
			return err
		}
		if r.AuthorizationType == "NONE" {
			t.open = append(t.open, r.RouteKey)
		}
	}
	return nil
}

// value returns the value of an environment variable: a literal, or a parameter's
// default.
func (t *template) value(variable yaml.Node) (string, bool) {
	switch variable.Tag {
	case "!!str", "!!int":
		return variable.Value, true
	case "!Ref":
		value, ok := t.defaults[variable.Value]
		return value, ok
	default:
		return "", false
	}
}

// mapping returns the event source mapping of a function: of Kinesis or SQS.
func (f function) mapping(kind string) (trigger, error) {
	for _, e := range f.Events {
		if e.Type == kind {
			return e, nil
		}
	}
	return trigger{}, fmt.Errorf("%s has no event source mapping of %s", f.CodeURI, kind)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
