package emulators

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.yaml.in/yaml/v3"
)

// NewTable creates a table with a unique name and the keys and indexes of the main one
// in template.yaml, and returns its name once it is ready. The table is deleted at
// the end of the test.
func NewTable(t testing.TB, client *dynamodb.Client) string {
	t.Helper()
	return newTable(t, client, "Table")
}

// NewSegments is NewTable for the table of segments.
func NewSegments(t testing.TB, client *dynamodb.Client) string {
	t.Helper()
	return newTable(t, client, "Segments")
}

func newTable(t testing.TB, client *dynamodb.Client, resource string) string {
	t.Helper()
	schema, err := tableSchema(resource)
	if err != nil {
		t.Fatal(err)
	}
	name := "sluice-" + rand.Text()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := client.CreateTable(ctx, schema.create(name)); err != nil {
		t.Fatalf("create the table %s of template.yaml: %v", resource, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Errorf("delete table %s: %v", name, err)
		}
	})
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &name}, time.Minute); err != nil {
		t.Fatalf("table %s is not ready: %v", name, err)
	}
	return name
}

// schema is the part of an AWS::DynamoDB::Table that the emulators need.
type schema struct {
	AttributeDefinitions   []attribute  `yaml:"AttributeDefinitions"`
	KeySchema              []key        `yaml:"KeySchema"`
	GlobalSecondaryIndexes []tableIndex `yaml:"GlobalSecondaryIndexes"`
}

type attribute struct {
	Name string `yaml:"AttributeName"`
	Type string `yaml:"AttributeType"`
}

type key struct {
	Name string `yaml:"AttributeName"`
	Type string `yaml:"KeyType"`
}

type tableIndex struct {
	Name       string `yaml:"IndexName"`
	KeySchema  []key  `yaml:"KeySchema"`
	Projection struct {
		Type string   `yaml:"ProjectionType"`
		Keys []string `yaml:"NonKeyAttributes"`
	} `yaml:"Projection"`
}

// tableSchema reads the schema of a table in template.yaml.
func tableSchema(resource string) (*schema, error) {
	dir, err := repository()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "template.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var template struct {
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := template.Resources[resource]
	if r.Type != "AWS::DynamoDB::Table" {
		return nil, fmt.Errorf("%s has no AWS::DynamoDB::Table %s", path, resource)
	}
	found := &schema{}
	if err := r.Properties.Decode(found); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", path, resource, err)
	}
	return found, nil
}

func (s *schema) create(name string) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   keys(s.KeySchema),
	}
	for _, a := range s.AttributeDefinitions {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
			AttributeName: aws.String(a.Name), AttributeType: types.ScalarAttributeType(a.Type),
		})
	}
	for _, index := range s.GlobalSecondaryIndexes {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(index.Name),
			KeySchema: keys(index.KeySchema),
			Projection: &types.Projection{
				ProjectionType: types.ProjectionType(index.Projection.Type), NonKeyAttributes: index.Projection.Keys,
			},
		})
	}
	return in
}

func keys(of []key) []types.KeySchemaElement {
	var elements []types.KeySchemaElement
	for _, k := range of {
		elements = append(elements, types.KeySchemaElement{AttributeName: aws.String(k.Name), KeyType: types.KeyType(k.Type)})
	}
	return elements
}
