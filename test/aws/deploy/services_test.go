package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// services calls, at an endpoint, what of CloudFormation, IAM and CloudWatch Logs a test
// needs: four operations are no reason for three more SDKs.
type services struct{ endpoint string }

// administrator has all permissions in the emulator.
var administrator = aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}

func (s services) post(ctx context.Context, service, contentType, target string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, administrator, req, hex.EncodeToString(sum[:]), service, emulators.Region, time.Now()); err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", service, res.Status, text)
	}
	return text, err
}

// query calls an operation of the query protocol.
func (s services) query(ctx context.Context, service string, form url.Values, into any) error {
	text, err := s.post(ctx, service, "application/x-www-form-urlencoded", "", []byte(form.Encode()))
	if err != nil || into == nil {
		return err
	}
	return xml.Unmarshal(text, into)
}

// outputs returns the outputs of a stack.
func (s services) outputs(ctx context.Context, stack string) (map[string]string, error) {
	var found struct {
		Outputs []struct {
			Key   string `xml:"OutputKey"`
			Value string `xml:"OutputValue"`
		} `xml:"DescribeStacksResult>Stacks>member>Outputs>member"`
	}
	err := s.query(ctx, "cloudformation", url.Values{"Action": {"DescribeStacks"}, "Version": {"2010-05-15"}, "StackName": {stack}}, &found)
	outputs := map[string]string{}
	for _, o := range found.Outputs {
		outputs[o.Key] = o.Value
	}
	return outputs, err
}

// resource returns the physical id of a stack's resource.
func (s services) resource(ctx context.Context, stack, id string) (string, error) {
	var found struct {
		ID string `xml:"DescribeStackResourceResult>StackResourceDetail>PhysicalResourceId"`
	}
	err := s.query(ctx, "cloudformation", url.Values{
		"Action": {"DescribeStackResource"}, "Version": {"2010-05-15"}, "StackName": {stack}, "LogicalResourceId": {id},
	}, &found)
	if err == nil && found.ID == "" {
		err = fmt.Errorf("stack %s has no resource %s", stack, id)
	}
	return found.ID, err
}

// dropStatement removes a statement from the policy "literal" of a role.
func (s services) dropStatement(ctx context.Context, role, sid string) error {
	var found struct {
		Document string `xml:"GetRolePolicyResult>PolicyDocument"`
	}
	const version, policy = "2010-05-08", "literal"
	if err := s.query(ctx, "iam", url.Values{
		"Action": {"GetRolePolicy"}, "Version": {version}, "RoleName": {role}, "PolicyName": {policy},
	}, &found); err != nil {
		return err
	}
	text, err := url.QueryUnescape(found.Document)
	if err != nil {
		return err
	}
	var document struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return fmt.Errorf("policy of %s: %w: %s", role, err, text)
	}
	kept := []map[string]any{}
	for _, statement := range document.Statement {
		if statement["Sid"] != sid {
			kept = append(kept, statement)
		}
	}
	if len(kept) != len(document.Statement)-1 {
		return fmt.Errorf("role %s has not one statement %s: %s", role, sid, text)
	}
	document.Statement = kept
	changed, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return s.query(ctx, "iam", url.Values{
		"Action": {"PutRolePolicy"}, "Version": {version}, "RoleName": {role}, "PolicyName": {policy}, "PolicyDocument": {string(changed)},
	}, nil)
}

// logs returns all that is in the log groups of the stack.
func (s services) logs(ctx context.Context, name string) (string, error) {
	var all strings.Builder
	groups := []string{"vendedlogs/" + name + "/delivery"}
	for _, function := range stack.Names() {
		groups = append(groups, "lambda/"+name+"/"+function)
	}
	for _, group := range groups {
		in := map[string]any{"logGroupName": "/aws/" + group}
		for more := true; more; {
			body, err := json.Marshal(in)
			if err != nil {
				return "", err
			}
			text, err := s.post(ctx, "logs", "application/x-amz-json-1.1", "Logs_20140328.FilterLogEvents", body)
			if err != nil {
				return "", err
			}
			var page struct {
				Events    []struct{ Message string }
				NextToken string
			}
			if err := json.Unmarshal(text, &page); err != nil {
				return "", err
			}
			for _, e := range page.Events {
				all.WriteString(e.Message)
				all.WriteByte('\n')
			}
			in["nextToken"], more = page.NextToken, page.NextToken != ""
		}
	}
	return all.String(), nil
}
