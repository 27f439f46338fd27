package netguard

import (
	"net/netip"
	"testing"
)

func TestCheck(t *testing.T) {
	const never = Private + 1
	tests := []struct {
		addr string
		from Policy // the first policy that allows it
		kind string // what it is called when refused
	}{
		{"8.8.8.8", Public, ""},
		{"93.184.216.34", Public, ""},
		{"172.15.255.255", Public, ""},
		{"172.32.0.1", Public, ""},
		{"100.63.255.255", Public, ""},
		{"100.128.0.1", Public, ""},
		{"2606:4700::1111", Public, ""},
		{"2a00:1450:4001:80b::200e", Public, ""},

		{"127.0.0.1", Loopback, "a loopback address"},
		{"127.255.255.254", Loopback, "a loopback address"},
		{"::1", Loopback, "a loopback address"},

		{"10.0.0.1", Private, "a private address"},
		{"172.16.0.1", Private, "a private address"},
		{"172.31.255.255", Private, "a private address"},
		{"192.168.1.1", Private, "a private address"},
		{"100.64.0.1", Private, "a shared (carrier-grade NAT) address"},
		{"100.127.255.255", Private, "a shared (carrier-grade NAT) address"},
		{"fc00::1", Private, "a private address"},
		{"fd12:3456::1", Private, "a private address"},

		{"0.0.0.0", never, "an unspecified address"},
		{"0.1.2.3", never, "an unspecified address"},
		{"::", never, "an unspecified address"},
		{"169.254.169.254", never, "a cloud metadata address"},
		{"fd00:ec2::254", never, "a cloud metadata address"},
		{"fd20:ce::254", never, "a cloud metadata address"},
		{"100.100.100.200", never, "a cloud metadata address"},
		{"168.63.129.16", never, "a cloud metadata address"},
		{"169.254.1.1", never, "a link-local address"},
		{"169.254.170.2", never, "a link-local address"},
		{"fe80::1", never, "a link-local address"},
		{"fe80::1%eth0", never, "an address with a zone"},
		{"::1%lo", never, "an address with a zone"},
		{"fec0::1", never, "a reserved address"},
		{"224.0.0.1", never, "a multicast address"},
		{"239.255.255.255", never, "a multicast address"},
		{"ff02::1", never, "a multicast address"},
		{"255.255.255.255", never, "a reserved address"},
		{"240.0.0.1", never, "a reserved address"},
		{"192.0.0.192", never, "a reserved address"},
		{"192.0.2.1", never, "a reserved address"},
		{"198.18.0.1", never, "a reserved address"},
		{"198.51.100.1", never, "a reserved address"},
		{"203.0.113.1", never, "a reserved address"},
		{"192.88.99.1", never, "a reserved address"},
		{"2001:db8::1", never, "a reserved address"},
		{"3fff::1", never, "a reserved address"},
		{"100::1", never, "a reserved address"},
		{"::ffff:127.0.0.1", never, "an IPv6 address that carries an IPv4 address"},
		{"::ffff:10.0.0.1", never, "an IPv6 address that carries an IPv4 address"},
		{"::ffff:169.254.169.254", never, "an IPv6 address that carries an IPv4 address"},
		{"::ffff:8.8.8.8", never, "an IPv6 address that carries an IPv4 address"},
		{"::127.0.0.1", never, "an IPv6 address that carries an IPv4 address"},
		{"64:ff9b:1::1", never, "a local-use NAT64 address"},
		{"64:ff9b:1::808:808", never, "a local-use NAT64 address"},
		{"2002:7f00:1::", never, "a 6to4 address"},
		{"2001:0:4136:e378::1", never, "a Teredo address"},
	}
	guards := map[Policy]*Guard{Public: New(Public, nil), Loopback: New(Loopback, nil), Private: New(Private, nil)}
	for _, tt := range tests {
		addr := netip.MustParseAddr(tt.addr)
		for p, guard := range guards {
			err := guard.Check(addr)
			if allowed := err == nil; allowed != (p >= tt.from) {
				t.Errorf("policy %d: Check(%s) = %v, want it allowed from policy %d on", p, addr, err, tt.from)
			}
			if e := AsAddressError(err); err != nil && (e == nil || e.Kind != tt.kind) {
				t.Errorf("policy %d: Check(%s) = %v, want it called %q", p, addr, err, tt.kind)
			}
		}
	}
}

// A NAT64 address is judged by the public IPv4 address it carries, at the dial
// too; what else it may carry no policy allows.
func TestNAT64IsJudgedByWhatItCarries(t *testing.T) {
	tests := []struct {
		addr string
		kind string // "": allowed
	}{
		{"64:ff9b::808:808", ""},
		{"64:ff9b::5db8:d822", ""},
		{"64:ff9b::8.8.8.8", ""},
		{"64:ff9b::ac0f:ffff", ""}, // 172.15.255.255
		{"64:ff9b::7f00:1", "a loopback address"},
		{"64:ff9b::a00:1", "a private address"},
		{"64:ff9b::ac10:1", "a private address"},
		{"64:ff9b::c0a8:101", "a private address"},
		{"64:ff9b::6440:1", "a shared (carrier-grade NAT) address"},
		{"64:ff9b::a9fe:101", "a link-local address"},
		{"64:ff9b::a9fe:a9fe", "a cloud metadata address"},
		{"64:ff9b::a83f:8110", "a cloud metadata address"}, // 168.63.129.16, which is public
		{"64:ff9b::6464:64c8", "a cloud metadata address"}, // 100.100.100.200
		{"64:ff9b::e000:1", "a multicast address"},
		{"64:ff9b::", "an unspecified address"},
		{"64:ff9b::ffff:ffff", "a reserved address"},
		{"64:ff9b::c000:201", "a reserved address"},
	}
	for _, tt := range tests {
		addr := netip.MustParseAddr(tt.addr)
		for _, p := range []Policy{Public, Loopback, Private} {
			guard := New(p, nil)
			dialled := guard.Control(t.Context(), "tcp6", netip.AddrPortFrom(addr, 443).String(), nil)
			for _, err := range []error{guard.Check(addr), dialled} {
				switch e := AsAddressError(err); {
				case tt.kind == "" && err != nil:
					t.Errorf("policy %d: %s: %v, want it allowed", p, addr, err)
				case tt.kind != "" && (e == nil || e.Kind != "a NAT64 address that carries "+tt.kind || e.Addr != addr):
					t.Errorf("policy %d: %s: %v, want it refused as one that carries %s", p, addr, err, tt.kind)
				}
			}
		}
	}
	if New(Private, nil).Check(netip.MustParseAddr("64:ff9b::808:808%eth0")) == nil {
		t.Error("a NAT64 address with a zone is allowed")
	}
}

func TestControlTakesOnlyTCPToAnAddress(t *testing.T) {
	guard := New(Public, nil)
	tests := []struct {
		network, address string
		ok               bool
	}{
		{"tcp4", "8.8.8.8:443", true},
		{"tcp4", "8.8.8.8:1", true},
		{"tcp6", "[2606:4700::1111]:443", true},
		{"tcp4", "127.0.0.1:443", false},
		{"tcp6", "[fe80::1%eth0]:80", false},
		{"udp4", "8.8.8.8:53", false},
		{"unix", "/var/run/docker.sock", false},
		{"tcp4", "example.com:80", false},
	}
	for _, tt := range tests {
		err := guard.Control(t.Context(), tt.network, tt.address, nil)
		if (err == nil) != tt.ok || err != nil && AsAddressError(err) == nil {
			t.Errorf("Control(%s, %s) = %v, want ok %v or an AddressError", tt.network, tt.address, err, tt.ok)
		}
	}
}

func TestForbidLocalPort(t *testing.T) {
	g := New(Private, nil)
	g.ForbidLocalPort(9001)
	for address, allowed := range map[string]bool{
		"127.0.0.1:9001": false, "127.0.0.1:9002": true, "127.0.0.2:9001": false, "10.0.0.1:9001": true,
	} {
		if err := g.Control(t.Context(), "tcp4", address, nil); (err == nil) != allowed {
			t.Errorf("%s: got %v, want allowed %v", address, err, allowed)
		}
	}
	for _, address := range []string{"[::ffff:127.0.0.1]:9001", "[::1]:9001", "[64:ff9b::7f00:1]:9001"} {
		if err := g.Control(t.Context(), "tcp6", address, nil); err == nil {
			t.Errorf("%s is allowed", address)
		}
	}
}
