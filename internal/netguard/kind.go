package netguard

import "net/netip"

// metadata lists addresses of cloud services that give credentials to, or take
// instructions from, their virtual machines. Some are in ranges that a policy may
// allow, and one is public, so they are checked first.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), // AWS, Azure, Google Cloud and others
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
}

func isMetadata(addr netip.Addr) bool {
	for _, m := range metadata {
		if addr == m {
			return true
		}
	}
	return false
}

// nat64Prefix is the well-known prefix of RFC 6052. Behind DNS64 the resolver
// returns such an address for a host with only IPv4 addresses.
var nat64Prefix = netip.MustParsePrefix("64:ff9b::/96")

// nat64 returns the IPv4 address that a NAT64 gateway connects to for addr. RFC 6052
// allows only public ones, so no policy allows more: a gateway must not connect to a
// private network, and its loopback is not ours.
func nat64(addr netip.Addr) (inner netip.Addr, ok bool) {
	if !nat64Prefix.Contains(addr) {
		return netip.Addr{}, false
	}
	b := addr.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}

// kinds names ranges, in the order in which they are tried, for messages only:
// Check decides what is refused.
var kinds = []struct {
	prefix netip.Prefix
	kind   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{loopback4, "a loopback address"},
	{loopback6, "a loopback address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{shared4, "a shared (carrier-grade NAT) address"},
	{private6, "a private address"},
	{netip.MustParsePrefix("::/96"), "an IPv6 address that carries an IPv4 address"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "a local-use NAT64 address"},
	{netip.MustParsePrefix("2002::/16"), "a 6to4 address"},
	{netip.MustParsePrefix("2001::/32"), "a Teredo address"},
}

func kindOf(addr netip.Addr) string {
	if inner, ok := nat64(addr); ok {
		return "a NAT64 address that carries " + kindOf(inner)
	}
	switch {
	case addr.Zone() != "":
		return "an address with a zone"
	case addr.Is4In6(): // netip.Prefix.Contains is false for these
		return "an IPv6 address that carries an IPv4 address"
	case isMetadata(addr):
		return "a cloud metadata address"
	case addr.Is4() && addr.IsPrivate():
		return "a private address"
	}
	for _, k := range kinds {
		if k.prefix.Contains(addr) {
			return k.kind
		}
	}
	return "a reserved address"
}
