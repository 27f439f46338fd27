package s3export

import (
	"path/filepath"
	"testing"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/local"
)

// The secret access key of a record whose endpoint was tampered with does not open.
func TestASecretAccessKeyOpensForItsEndpointAlone(t *testing.T) {
	sealer, err := local.OpenOrCreate(filepath.Join(t.TempDir(), local.Name))
	if err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range []string{"", "https://r2.example"} {
		in := exportTo(endpoint)
		in.S3.SecretAccessKey, err = sealer.Seal(t.Context(), in.SecretOwner(integration.FieldSecretAccessKey), secret.NewString(secretKey))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newClient(t).Open(t.Context(), in, sealer); err != nil {
			t.Errorf("%q: %v", endpoint, err)
		}
		for _, moved := range []string{"", "https://r2.example", "https://evil.example", "http://r2.example"} {
			in.S3.Endpoint = moved
			if _, err := newClient(t).Open(t.Context(), in, sealer); (err == nil) != (moved == endpoint) {
				t.Errorf("sealed for %q, opened for %q: %v", endpoint, moved, err)
			}
		}
	}
}
