package main

import (
	"path/filepath"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssam"
	"github.com/aws/aws-cdk-go/awscdk/v2/cloudformationinclude"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// newStack adds the stack "sluice-<stage>" to the app: the template in the
// folder root, and the dashboard. It changes only the template's
// parameter defaults and code locations.
func newStack(app constructs.Construct, root string, s stage) awscdk.Stack {
	st := awscdk.NewStack(app, jsii.String("sluice-"+s.Name), &awscdk.StackProps{
		// CloudFormation propagates stack tags to the resources,
		// so that the included resources stay as they are.
		Tags: &map[string]*string{"Application": jsii.String("sluice"), "Stage": jsii.String(s.Name)},
	})
	// Parameters are kept, with new defaults: replacing them by values would
	// leave conditions that are constant, and warnings about those.
	inc := cloudformationinclude.NewCfnInclude(st, jsii.String("App"), &cloudformationinclude.CfnIncludeProps{
		TemplateFile: jsii.String(filepath.Join(root, "template.yaml")),
	})
	inc.GetParameter(jsii.String("Stage")).SetDefault(s.Name)
	for name, value := range s.Parameters {
		setDefault(inc.GetParameter(jsii.String(name)), value)
	}
	acknowledgeNoTopic(inc)
	functions := addAssets(st, inc, root)
	addDashboard(st, metricsOf(inc, s.Name), functions)
	return st
}

// acknowledgeNoTopic tells the validator that an alarm has no empty action: it takes the
// default of the parameter AlarmTopicArn for its value, without the condition around it.
func acknowledgeNoTopic(inc cloudformationinclude.CfnInclude) {
	for _, child := range *inc.Node().Children() {
		if alarm, ok := child.(awscloudwatch.CfnAlarm); ok {
			awscdk.Validations_Of(alarm).Acknowledge(&awscdk.Acknowledgment{
				Id: jsii.String("CloudFormation-Validate::F3033"), Reason: jsii.String("without a topic the condition Paged leaves the action out"),
			})
		}
	}
}

// setDefault sets a parameter's default, a number as a number: the allowed
// values of such a parameter are numbers too.
func setDefault(p awscdk.CfnParameter, value string) {
	if n, err := strconv.ParseFloat(value, 64); err == nil && *p.Type() == "Number" {
		p.SetDefault(n)
		return
	}
	p.SetDefault(value)
}

// addAssets replaces local paths in the template by assets. It returns the
// functions by logical ID.
func addAssets(st awscdk.Stack, inc cloudformationinclude.CfnInclude, root string) map[string]awssam.CfnFunction {
	asset := func(id, path string) awss3assets.Asset {
		return awss3assets.NewAsset(st, jsii.String(id+"Asset"), &awss3assets.AssetProps{
			Path: jsii.String(filepath.Join(root, path)),
		})
	}
	functions := map[string]awssam.CfnFunction{}
	for _, child := range *inc.Node().Children() {
		switch r := child.(type) {
		case awssam.CfnFunction:
			id := *r.Node().Id()
			a := asset(id, r.CodeUri().(string))
			r.SetCodeUri(&awssam.CfnFunction_S3LocationProperty{Bucket: a.S3BucketName(), Key: a.S3ObjectKey()})
			functions[id] = r
		case awssam.CfnStateMachine:
			a := asset(*r.Node().Id(), r.DefinitionUri().(string))
			r.SetDefinitionUri(&awssam.CfnStateMachine_S3LocationProperty{Bucket: a.S3BucketName(), Key: a.S3ObjectKey()})
		}
	}
	return functions
}
