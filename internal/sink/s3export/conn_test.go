package s3export

import (
	"testing"

	"github.com/sluicehq/sluice/internal/sink/keepalive"
)

// A long export must not keep using an address that its bucket no longer has.
// Package keepalive tests how; this tests the wiring.
func TestConnectionsDoNotOutliveDNS(t *testing.T) {
	client, _ := newClient(t).newHTTP()
	if l, ok := client.Transport.(limited); !ok {
		t.Errorf("responses are not cut off: the transport is a %T", client.Transport)
	} else if _, ok := l.RoundTripper.(*keepalive.Transport); !ok {
		t.Errorf("connections have no age limit: the transport is a %T", l.RoundTripper)
	}
}
