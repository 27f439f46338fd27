package s3export

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/sink/s3export/s3test"
)

// Before the signature is verified, Google Cloud Storage appends to
// Accept-Encoding, and proxies may rewrite any header.
func TestHopsMayRewriteHeaders(t *testing.T) {
	for name, size := range map[string]int{"put": 100, "parts": 6 << 20} {
		s := newStore(t)
		x := open(t, exportTo(s3test.Proxy{}.Serve(t, s3test.Signed(secretKey, s.handler))))
		if v := x.Export(t.Context(), toFile(lines(1, size)), yes); v != delivered {
			t.Errorf("%s: Export = %+v", name, v)
		}
		if keys, _ := s.files(t); len(keys) != 1 {
			t.Errorf("%s: files %v, want one", name, keys)
		}
	}
}

func TestOnlyWhatNoHopChangesIsSigned(t *testing.T) {
	x := open(t, exportTo(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range s3test.SignedHeaders(r) {
			if name != "host" && name != "content-type" && !strings.HasPrefix(name, "x-amz-") {
				t.Errorf("%s signs %s", requestKind(r), name)
			}
		}
		if !slices.Contains(s3test.SignedHeaders(r), "x-amz-content-sha256") {
			t.Errorf("%s does not sign its body", requestKind(r))
		}
		discard(w, r)
	}))))
	x.Export(t.Context(), toFile(lines(1, 100)), yes)
	x.Export(t.Context(), toFile(lines(1, 6<<20)), yes)
}

// The double must reject a wrong signature.
func TestSignatureOfAnotherKeyIsRefused(t *testing.T) {
	s := newStore(t)
	x := open(t, exportTo(serve(t, s3test.Signed("another key", s.handler))))
	if v := x.Export(t.Context(), toFile(lines(1, 100)), yes); !strings.Contains(v.Reason, "SignatureDoesNotMatch") {
		t.Errorf("Export = %+v, want SignatureDoesNotMatch", v)
	}
	s.mustBeEmpty(t)
}

// A proxy that does not support Expect responds with 417, and one that drops it
// delays every part.
func TestNothingExpectsA100(t *testing.T) {
	s := newStore(t)
	proxy := s3test.Proxy{NoExpect: func() { t.Error("a request has Expect: 100-continue") }}
	x := open(t, exportTo(proxy.Serve(t, s3test.Signed(secretKey, s.handler))))
	if v := x.Export(t.Context(), toFile(lines(1, 11<<20)), yes); v != delivered {
		t.Errorf("Export = %+v", v)
	}
}
