package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// publishRoute is the route with a throttle of its own.
const publishRoute = "POST /api/v1/org/events"

// Every route calls the function, and needs a token if it is not named here.
func TestRoutesAndAuthorizer(t *testing.T) {
	template := readTemplate(t)
	wantAuthorizer := object{
		"ApiId": object{"Ref": "HttpApi"}, "Name": "AccessToken", "AuthorizerType": "JWT",
		"IdentitySource":   []any{"$request.header.Authorization"},
		"JwtConfiguration": object{"Issuer": object{"Ref": "Issuer"}, "Audience": object{"Ref": "Audience"}},
	}
	if diff := cmp.Diff(map[string]object{"AccessToken": wantAuthorizer}, ofType(template, "AWS::ApiGatewayV2::Authorizer")); diff != "" {
		t.Errorf("authorizers (-want +got):\n%s", diff)
	}
	routes := map[string]any{}
	for id, r := range ofType(template, "AWS::ApiGatewayV2::Route") {
		wantRoute := object{"ApiId": object{"Ref": "HttpApi"}, "Target": object{"Fn::Sub": "integrations/${ApiIntegration}"}}
		routes[r["RouteKey"].(string)] = r["AuthorizationType"]
		wantRoute["RouteKey"], wantRoute["AuthorizationType"] = r["RouteKey"], r["AuthorizationType"]
		if r["AuthorizationType"] == "JWT" {
			wantRoute["AuthorizerId"] = object{"Ref": "AccessToken"}
		}
		if diff := cmp.Diff(wantRoute, r); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
		if !listed(at(template, "Resources", "HttpStage", "DependsOn"), id) {
			t.Errorf("the stage may be deployed before %s", id)
		}
	}
	want := map[string]any{"$default": "JWT", publishRoute: "JWT", "GET /": "NONE", "GET /healthz": "NONE", "GET /openapi.yaml": "NONE", "GET /console": "NONE", "GET /console/{proxy+}": "NONE"}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("routes, with their authorization (-want +got):\n%s", diff)
	}
	// With canary deployments it is their alias; a reference to it is an ARN.
	called := func(function object) any {
		return object{"Fn::If": []any{"Canaried", object{"Ref": "ApiLive"}, function}}
	}
	if diff := cmp.Diff(called(object{"Fn::GetAtt": "Api.Arn"}), at(template, "Resources", "ApiIntegration", "Properties", "IntegrationUri")); diff != "" {
		t.Errorf("the function that the gateway calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(called(object{"Ref": "Api"}), at(template, "Resources", "ApiPermission", "Properties", "FunctionName")); diff != "" {
		t.Errorf("the function that the gateway may call (-want +got):\n%s", diff)
	}
}

func listed(list any, id string) bool {
	items, _ := list.([]any)
	for _, item := range items {
		if item == id {
			return true
		}
	}
	return false
}

// A throttle of a path that the API does not have would throttle nothing.
func TestPublishRouteIsInTheContract(t *testing.T) {
	text, err := os.ReadFile("../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var contract struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &contract); err != nil {
		t.Fatal(err)
	}
	method, path, _ := strings.Cut(publishRoute, " ")
	if contract.Paths[path][strings.ToLower(method)] == nil {
		t.Errorf("api/openapi.yaml has no %s", publishRoute)
	}
}

// Publishing and the rest have throttles of their own, from parameters, and what costs
// money by the call is off by default.
func TestStage(t *testing.T) {
	template := readTemplate(t)
	stage := ofType(template, "AWS::ApiGatewayV2::Stage")["HttpStage"]
	metered := object{"Fn::If": []any{"RouteMetered", true, false}}
	want := object{
		"ApiId": object{"Ref": "HttpApi"},
		// A stage with a name is part of every path.
		"StageName": "$default", "AutoDeploy": true,
		"DefaultRouteSettings": object{
			"ThrottlingRateLimit": object{"Ref": "ApiRate"}, "ThrottlingBurstLimit": object{"Ref": "ApiBurst"},
			"DetailedMetricsEnabled": metered,
		},
		"RouteSettings": object{publishRoute: object{
			"ThrottlingRateLimit": object{"Ref": "PublishRate"}, "ThrottlingBurstLimit": object{"Ref": "PublishBurst"},
			"DetailedMetricsEnabled": metered,
		}},
		"AccessLogSettings": stage["AccessLogSettings"],
	}
	if diff := cmp.Diff(want, stage); diff != "" {
		t.Errorf("stage (-want +got):\n%s", diff)
	}
	for _, off := range []string{"AccessLog", "RouteMetrics"} {
		if got := at(template, "Parameters", off, "Default"); got != "false" {
			t.Errorf("%s is %v by default: it costs money for each call", off, got)
		}
	}
	if got := at(template, "Resources", "HttpApiLogs", "Condition"); got != "AccessLogged" {
		t.Errorf("the access log's group has the condition %v", got)
	}
	branches := at(stage, "AccessLogSettings", "Fn::If").([]any)
	if branches[0] != "AccessLogged" || cmp.Diff(any(object{"Ref": "AWS::NoValue"}), branches[2]) != "" {
		t.Errorf("the access log is not conditional: %v", branches)
	}
	log := at(branches[1], "Format").(string)
	if !json.Valid([]byte(log)) {
		t.Errorf("the access log is not JSON: %s", log)
	}
	for _, secret := range []string{"header", "queryString", "authorizer.claims", "authorizer.principalId"} {
		if strings.Contains(log, secret) {
			t.Errorf("the access log contains %s", secret)
		}
	}
}
