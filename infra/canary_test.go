package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// whether returns the IDs of the resources with a condition.
func whether(t *testing.T, condition string) []string {
	t.Helper()
	var ids []string
	for id, r := range readTemplate(t)["Resources"].(object) {
		if at(r, "Condition") == condition {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Without a release there is no alias and nothing of CodeDeploy. With one, each deployment
// makes a version, and the alias moves to it as the deployment group says.
func TestCanary(t *testing.T) {
	template := readTemplate(t)
	if got := at(template, "Parameters", "ApiRelease", "Default"); got != "" {
		t.Errorf("the default release is %v", got)
	}
	release := object{"Ref": "ApiRelease"}
	if diff := cmp.Diff(any(object{"Fn::Not": []any{object{"Fn::Equals": []any{release, ""}}}}), at(template, "Conditions", "Canaried")); diff != "" {
		t.Errorf("when there are canary deployments (-want +got):\n%s", diff)
	}
	ids := []string{"ApiCanary", "ApiCanaryAlarm", "ApiCanaryRole", "ApiDeployments", "ApiLive", "ApiVersion"}
	if diff := cmp.Diff(ids, whether(t, "Canaried")); diff != "" {
		t.Errorf("what is there only then (-want +got):\n%s", diff)
	}
	function := object{"Ref": "Api"}
	for id, want := range map[string]object{
		"ApiVersion":     {"FunctionName": function, "Description": release},
		"ApiLive":        {"Name": "live", "FunctionName": function, "FunctionVersion": object{"Fn::GetAtt": "ApiVersion.Version"}},
		"ApiDeployments": {"ComputePlatform": "Lambda"},
		"ApiCanary": {
			"ApplicationName": object{"Ref": "ApiDeployments"}, "ServiceRoleArn": object{"Fn::GetAtt": "ApiCanaryRole.Arn"},
			"DeploymentStyle":      object{"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"},
			"DeploymentConfigName": "CodeDeployDefault.LambdaCanary10Percent5Minutes",
			"AlarmConfiguration":   object{"Enabled": true, "Alarms": []any{object{"Name": object{"Ref": "ApiCanaryAlarm"}}}},
			"AutoRollbackConfiguration": object{
				"Enabled": true, "Events": []any{"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"},
			},
		},
	} {
		if diff := cmp.Diff(any(want), at(template, "Resources", id, "Properties")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	want := object{"CodeDeployLambdaAliasUpdate": object{
		"ApplicationName": object{"Ref": "ApiDeployments"}, "DeploymentGroupName": object{"Ref": "ApiCanary"},
	}}
	if diff := cmp.Diff(any(want), at(template, "Resources", "ApiLive", "UpdatePolicy")); diff != "" {
		t.Errorf("how the alias moves (-want +got):\n%s", diff)
	}
}

// The alarm rings before the rest of the calls moves: one period of a minute is enough.
func TestCanaryAlarmIsInTime(t *testing.T) {
	p := alarmsOf(t)["api-canary"]
	for _, m := range seriesOf(p) {
		if m.period != 60 {
			t.Errorf("%s has periods of %v s", m.name, m.period)
		}
	}
	if p["EvaluationPeriods"] != 1.0 {
		t.Errorf("it looks at %v periods", p["EvaluationPeriods"])
	}
}

// The domain is there with its certificate only, and the address of the API is then the name.
func TestDomain(t *testing.T) {
	template := readTemplate(t)
	name, certificate := object{"Ref": "DomainName"}, object{"Ref": "CertificateArn"}
	for _, parameter := range []string{"DomainName", "CertificateArn"} {
		if got := at(template, "Parameters", parameter, "Default"); got != "" {
			t.Errorf("the default of %s is %v", parameter, got)
		}
	}
	empty := func(parameter object) object { return object{"Fn::Equals": []any{parameter, ""}} }
	if diff := cmp.Diff(any(object{"Fn::Not": []any{empty(certificate)}}), at(template, "Conditions", "OwnDomain")); diff != "" {
		t.Errorf("when there is a domain (-want +got):\n%s", diff)
	}
	both := object{"Fn::Or": []any{
		object{"Fn::And": []any{empty(name), empty(certificate)}},
		object{"Fn::Not": []any{object{"Fn::Or": []any{empty(name), empty(certificate)}}}},
	}}
	assertions := at(template, "Rules", "DomainHasCertificate", "Assertions").([]any)
	if diff := cmp.Diff(any(both), at(assertions[0], "Assert")); diff != "" {
		t.Errorf("the rule (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Domain", "DomainMapping"}, whether(t, "OwnDomain")); diff != "" {
		t.Errorf("what is there only then (-want +got):\n%s", diff)
	}
	for id, want := range map[string]object{
		"Domain": {"DomainName": name, "DomainNameConfigurations": []any{
			object{"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"},
		}},
		"DomainMapping": {"ApiId": object{"Ref": "HttpApi"}, "DomainName": object{"Ref": "Domain"}, "Stage": object{"Ref": "HttpStage"}},
	} {
		if diff := cmp.Diff(any(want), at(template, "Resources", id, "Properties")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	want := object{"Fn::If": []any{
		"OwnDomain", object{"Fn::Sub": "https://${DomainName}"}, object{"Fn::Sub": "https://${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}"},
	}}
	if diff := cmp.Diff(any(want), at(template, "Outputs", "ApiUrl", "Value")); diff != "" {
		t.Errorf("the address of the API (-want +got):\n%s", diff)
	}
}
