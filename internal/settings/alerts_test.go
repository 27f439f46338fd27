package settings

import (
	"errors"
	"strings"
	"testing"
)

func TestSettingsOfAlerts(t *testing.T) {
	for _, c := range []struct{ tenant, url, want string }{
		{"", "", ""},
		{"ops", "", ""},
		{"ops", "https://hooks.example.com/alerts", ""},
		{"", "https://hooks.example.com/s3cret", "SLUICE_OPERATOR_TENANT"},
		{"o/ps", "", "contains a slash"},
		{strings.Repeat("o", 129), "", "128 bytes"},
		{"ops", "hooks.example.com/s3cret", "SLUICE_ALERT_URL"},
		{"ops", "ftp://hooks.example.com/s3cret", "SLUICE_ALERT_URL"},
		{"ops", "https://me:s3cret@hooks.example.com", "user info"},
	} {
		s := Default()
		s.OperatorTenant, s.AlertURL = c.tenant, c.url
		err := errors.Join(s.Validate()...)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q, %q: %v, want %q", c.tenant, c.url, err, c.want)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("the error shows the URL: %v", err)
		}
	}
}
