// Package netguard keeps Sluice from being used to reach the network it runs
// in. Customers choose where their events go, so every target is checked
// twice: when it is registered, by resolving its host (CheckURL), and when a
// connection is made, on the address that is actually dialled (Control). Only
// the second check is a guarantee, since DNS may change in between; the first
// is there to tell the customer at once.
//
// Limits: but for one (ForbidLocalPort), the guard judges addresses, not ports, and knows
// nothing of what a public address forwards to. A proxy would dial in our place and is therefore
// never used.
package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Policy says which addresses may be called beside public ones. Link-local,
// metadata, multicast, unspecified and reserved addresses, and IPv6 addresses
// that carry an IPv4 address, are refused under every policy. The one exception
// is NAT64: an address in 64:ff9b::/96 may be called where it carries a public
// IPv4 address.
type Policy int

// The policies, each allowing more than the one before.
const (
	Public   Policy = iota // public addresses alone
	Loopback               // and 127.0.0.0/8 and ::1, for serve --dev
	Private                // and RFC 1918, 100.64.0.0/10 and fc00::/7, for SLUICE_ALLOW_PRIVATE_TARGETS
)

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
	shared4   = netip.MustParsePrefix("100.64.0.0/10")
	private4  = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		shared4,
	}
	private6 = netip.MustParsePrefix("fc00::/7")
)

// publicOnly judges what a NAT64 address carries, under every policy.
var publicOnly = ssrf.New(ssrf.WithAnyPort())

// Resolver finds the addresses of a host. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Guard decides which addresses may be called. It is safe for concurrent use.
type Guard struct {
	policy    Policy
	addresses *ssrf.Guardian
	resolver  Resolver
	forbidden uint16 // port on loopback, 0 for none
}

// New returns the guard of a policy. A nil resolver means net.DefaultResolver.
func New(p Policy, r Resolver) *Guard {
	if r == nil {
		r = net.DefaultResolver
	}
	var v4, v6 []netip.Prefix
	if p >= Loopback {
		v4, v6 = append(v4, loopback4), append(v6, loopback6)
	}
	if p >= Private {
		v4, v6 = append(v4, private4...), append(v6, private6)
	}
	return &Guard{
		policy:    p,
		addresses: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)),
		resolver:  r,
	}
}

// ForbidLocalPort refuses a port of all loopback addresses under every policy, as
// that of AWS Lambda's Runtime API, which trusts whoever reaches it. It is to be
// called before the guard is used.
func (g *Guard) ForbidLocalPort(port uint16) { g.forbidden = port }

// dialTimeout bounds one connection attempt. Callers set shorter bounds by
// context; this one is for those that do not.
const dialTimeout = 10 * time.Second

// Dialer returns a dialer that connects to allowed addresses only. It resolves
// with the guard's resolver if that is a *net.Resolver.
func (g *Guard) Dialer() *net.Dialer {
	d := &net.Dialer{Timeout: dialTimeout, ControlContext: g.Control}
	if r, ok := g.resolver.(*net.Resolver); ok {
		d.Resolver = r
	}
	return d
}

// Control is a net.Dialer's ControlContext. It is called with the address that
// is about to be dialled, after all resolving, and fails with an *AddressError
// if that one is not allowed.
func (g *Guard) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &AddressError{Kind: "not reached by TCP"}
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return &AddressError{Kind: "not an IP address"}
	}
	if at.Addr().Unmap().IsLoopback() && at.Port() == g.forbidden {
		return &AddressError{Addr: at.Addr(), Kind: "an interface of the service itself"}
	}
	return g.Check(at.Addr())
}

// Check returns an *AddressError if the address may not be called.
func (g *Guard) Check(addr netip.Addr) error {
	judged, by := addr, g.addresses
	if inner, ok := nat64(addr); ok {
		judged, by = inner, publicOnly
	}
	if addr.Zone() != "" || isMetadata(judged) || by.SafeAddr(judged) != nil {
		return &AddressError{Addr: addr, Kind: kindOf(addr)}
	}
	return nil
}

// AddressError says that an address is not allowed.
type AddressError struct {
	Addr netip.Addr
	Kind string // what the address is, e.g. "a loopback address"
}

// Error is for the log: it names the address, which a customer need not learn.
func (e *AddressError) Error() string {
	if !e.Addr.IsValid() {
		return "the target's address is " + e.Kind + ", which is not allowed"
	}
	return "the address " + e.Addr.String() + " is " + e.Kind + ", which is not allowed"
}

// AsAddressError finds the AddressError in err's chain, or returns nil.
func AsAddressError(err error) *AddressError {
	if e, ok := errors.AsType[*AddressError](err); ok {
		return e
	}
	return nil
}
