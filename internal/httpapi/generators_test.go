package httpapi_test

import (
	"path"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// What the generators of clients do not understand compiles, but nobody can use it. test/contract
// tries generators out; this finds the same without them.
func TestSchemasAreWithinReachOfGenerators(t *testing.T) {
	seen := 0
	err := contract.spec.WalkSchemas(func(at string, ref *openapi3.SchemaRef) error {
		seen++
		if last := path.Base(at); last == "if" || last == "then" || last == "else" { // no generator reads them
			return openapi3.SkipSubtree
		}
		if why := beyondGenerators(ref.Value); why != "" {
			t.Errorf("%s: %s", at, why)
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("%d schemas, %v", seen, err)
	}
}

func beyondGenerators(s *openapi3.Schema) string {
	switch {
	case len(s.Properties) > 0 && len(s.OneOf)+len(s.AnyOf)+len(s.AllOf) > 0:
		return "properties beside a choice: there is no class for it in Python. Say it with if, then and else"
	case s.Type.Includes("object") && len(s.Properties) == 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil:
		return "an object without properties is an empty one in TypeScript. Add additionalProperties"
	case strings.Contains(s.Pattern, "}T") && s.Format != "date-time":
		return "a time without format is only a text"
	}
	return ""
}

func TestUnreachableSchemasAreNoticed(t *testing.T) {
	object := openapi3.NewObjectSchema()
	choice := openapi3.NewObjectSchema().WithProperty("a", openapi3.NewStringSchema())
	choice.OneOf = openapi3.SchemaRefs{{Value: &openapi3.Schema{Required: []string{"a"}}}}
	time := openapi3.NewStringSchema().WithPattern(contract.spec.Components.Schemas["Timestamp"].Value.Pattern)
	for i, s := range []*openapi3.Schema{object, choice, time} {
		if beyondGenerators(s) == "" {
			t.Errorf("not noticed: %d", i)
		}
	}
	if why := beyondGenerators(time.WithFormat("date-time")); why != "" {
		t.Errorf("a time with a format: %s", why)
	}
}
