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

		Method string `yaml:"Method"`
		Path   string `yaml:"Path"`
		Auth   struct {
			Authorizer string `yaml:"Authorizer"`
		} `yaml:"Auth"`
	} `yaml:"Properties"`
}

// template is the part of template.yaml that a stack needs.
type template struct {
	variables map[string]yaml.Node // of every function's environment
	functions map[string]function  // by the last part of CodeUri
	giveUp    int                  // s, the age of a record
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
		Parameters struct {
			GiveUp struct {
				Default int `yaml:"Default"`
			} `yaml:"GiveUpAfterSeconds"`
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
	t := &template{variables: doc.Globals.Function.Environment.Variables, functions: map[string]function{}, giveUp: doc.Parameters.GiveUp.Default}
	for id, r := range doc.Resources {
		if r.Type != "AWS::Serverless::Function" {
			continue
		}
		var f function
		if err := r.Properties.Decode(&f); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		t.functions[filepath.Base(f.CodeURI)] = f
	}
	if len(t.functions) != len(names) {
		return nil, fmt.Errorf("template.yaml has %d functions, want %d", len(t.functions), len(names))
	}
	return t, nil
}

// stream returns the event source mapping of a function.
func (f function) stream() (trigger, error) {
	for _, e := range f.Events {
		if e.Type == "Kinesis" {
			return e, nil
		}
	}
	return trigger{}, fmt.Errorf("%s has no event source mapping", f.CodeURI)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
