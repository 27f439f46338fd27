package local

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/secret"
)

// A key that parse accepts can seal and open; an error of parse never quotes the
// content.
func FuzzParse(f *testing.F) {
	whole, err := fresh()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"keyset":{},"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parse("secrets.key", content)
		if err != nil {
			if !strings.Contains(err.Error(), "secrets.key is damaged") {
				t.Errorf("error: %v", err)
			}
			return
		}
		o := secret.Owner{Tenant: "t", Integration: "i", Field: "f"}
		sealed, err := s.Seal(t.Context(), o, secret.NewString("clear"))
		if err != nil {
			t.Fatalf("accepted, but does not seal: %v", err)
		}
		if got, err := s.Open(t.Context(), o, sealed); err != nil || got.Reveal() != "clear" {
			t.Fatalf("accepted, but opens %q, %v", got.Reveal(), err)
		}
	})
}
