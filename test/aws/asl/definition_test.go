package asl_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/test/aws/asl"
)

// What a definition has and the interpreter does not know, or what would fail
// at run time, is an error of Parse.
func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, replaced, want string }{
		"unknown field of a state":     {`"SecondsPath"`, `"TimestampPath"`, "unknown field"},
		"misspelt field of a retrier":  {`"BackoffRate"`, `"BackoffRat"`, "unknown field"},
		"unknown top field":            {`"StartAt"`, `"TimeoutSeconds": 5, "StartAt"`, "unknown field"},
		"unknown type":                 {`"Type": "Succeed"`, `"Type": "Parallel"`, "Parallel"},
		"unknown comparison":           {`"StringEquals"`, `"StringMatches"`, "unknown field"},
		"JSONata":                      {`"Type": "Wait"`, `"QueryLanguage": "JSONata", "Type": "Wait"`, "unknown field"},
		"no such start":                {`"StartAt": "Wait"`, `"StartAt": "Begin"`, "Begin"},
		"no such state":                {`"Next": "Decide"`, `"Next": "Choose"`, "Choose"},
		"no such default":              {`"Default": "Unknown"`, `"Default": "Other"`, "Other"},
		"unreachable":                  {`"Next": "Renew"`, `"Next": "Done"`, `nothing leads to state "Renew"`},
		"no end":                       {`"Type": "Succeed"`, `"Type": "Wait", "SecondsPath": "$.x", "Next": "Done"`, "no way to an end"},
		"path of an index":             {`"$.wait_seconds",`, `"$.wait[0]",`, "none of those known"},
		"path in the context":          {`"Payload.$": "$"`, `"Payload.$": "$$.Execution"`, "none of the paths known"},
		"intrinsic function":           {`"$.renewal"`, `"States.UUID()"`, "none of the paths known"},
		"a list in a template":         {`"count": 0`, `"count": [0]`, "lists in a template"},
		"States.ALL among others":      {`["States.ALL"]`, `["States.ALL", "States.Timeout"]`, "must stand alone"},
		"unknown error of States":      {`["States.ALL"]`, `["States.Oops"]`, "States.Oops"},
		"interval":                     {`"IntervalSeconds": 1`, `"IntervalSeconds": 0`, "IntervalSeconds"},
		"rate":                         {`"BackoffRate": 2`, `"BackoffRate": 0.5`, "BackoffRate"},
		"greatest delay":               {`"MaxDelaySeconds": 300`, `"MaxDelaySeconds": 1`, "MaxDelaySeconds"},
		"attempts":                     {`"MaxAttempts": 16`, `"MaxAttempts": -1`, "MaxAttempts"},
		"jitter":                       {`"FULL"`, `"HALF"`, "JitterStrategy"},
		"time-out":                     {`"TimeoutSeconds": 240`, `"TimeoutSeconds": 0`, "TimeoutSeconds"},
		"no wait":                      {`"SecondsPath": "$.wait_seconds",`, ``, "no SecondsPath"},
		"placeholder without a value":  {`${StateMachineArn}`, `${Other}`, "Other"},
		"value without a placeholder":  {`${StateMachineArn}`, `x`, "StateMachineArn"},
		"two values":                   {"\n  }\n}\n", "}}{}", "after its end"},
		"a choice without a condition": {`"StringEquals": "done",`, ``, "needs a Variable"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(deployed(t)), c.old, c.replaced, 1)
			if text == string(deployed(t)) {
				t.Fatalf("%q is not in the definition", c.old)
			}
			if _, err := asl.Parse([]byte(text), substitutions); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// A substitution is quoted as JSON.
func TestSubstitution(t *testing.T) {
	text := `{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"${E}"}}}`
	for _, value := range []string{`plain`, `"quoted"`, "a\nline", `back\slash`, `"`} {
		if _, err := asl.Parse([]byte(text), map[string]string{"E": value}); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestUnknownResource(t *testing.T) {
	s := asl.New(asl.Options{})
	defer s.Close()
	text := strings.Replace(string(deployed(t)), "arn:aws:states:::lambda:invoke", "arn:aws:states:::sqs:sendMessage", 1)
	d, err := asl.Parse([]byte(text), substitutions)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(machine, d); err == nil || !strings.Contains(err.Error(), "sqs:sendMessage") {
		t.Errorf("error %v", err)
	}
}

// Whatever is parsed can be executed without a panic.
func FuzzParse(f *testing.F) {
	f.Add(string(deployed(f)), `{}`)
	f.Add(`{"StartAt":"D","States":{"D":{"Type":"Succeed"}}}`, `{"next":"done"}`)
	f.Add(`{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$.a","NumericGreaterThanEquals":1e999,"Next":"D"}],"Default":"D"},"D":{"Type":"Fail"}}}`, `{"a":1}`)
	f.Fuzz(func(t *testing.T, text, input string) {
		d, err := asl.Parse([]byte(text), nil)
		if err != nil || !json.Valid([]byte(input)) {
			return
		}
		s := asl.New(asl.Options{})
		defer s.Close()
		if s.Create(machine, d) == nil {
			if _, err := s.Start(machine, "x", []byte(input)); err != nil {
				t.Error(err)
			}
		}
	})
}
