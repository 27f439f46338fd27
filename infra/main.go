// Command infra is the AWS CDK app of Sluice. It includes ../template.yaml, the
// single definition of the deployment, and adds what a template cannot express:
// code as assets, parameters for each stage, and a dashboard.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	err := run()
	jsii.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "infra:", err)
		os.Exit(1)
	}
}

// run writes the cloud assembly to the directory that the CDK command line asks
// for, or to cdk.out. It must run in the folder infra.
func run() error {
	context, err := contextOf("cdk.json")
	if err != nil {
		return err
	}
	props := &awscdk.AppProps{Context: &context, AnalyticsReporting: jsii.Bool(false)}
	if os.Getenv("CDK_OUTDIR") == "" {
		props.Outdir = jsii.String("cdk.out")
	}
	app := awscdk.NewApp(props)
	stages, err := stagesOf(app.Node().TryGetContext(jsii.String("stages")))
	if err != nil {
		return err
	}
	for _, stage := range stages {
		newStack(app, "..", stage)
	}
	app.Synth(nil)
	return nil
}

// contextOf reads the context from the app's configuration file, as the CDK
// command line does, so that "go run ." works without it. Context given on the
// command line (-c) takes precedence.
func contextOf(path string) (map[string]any, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the app's configuration: %w", err)
	}
	var config struct {
		Context map[string]any `json:"context"`
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", path, err)
	}
	return config.Context, nil
}
