// Package netguard prevents customers from using Sluice to reach the network it
// runs in (SSRF). Customers choose the targets of their events, so every target is
// checked twice: by resolving its host when it is registered (CheckURL), and by the
// dialed address on every connection (Control). Only the second check is a
// guarantee, since DNS may change in between; the first gives the customer an early
// error.
//
// Limits: the guard checks addresses, not ports, except for ForbidLocalPort, and
// cannot know what a public address forwards to. Through a proxy (ViaProxy) it checks
// only what URLs say themselves: the proxy resolves their names and dials.
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

// Policy selects which addresses may be called besides public ones. Every policy
// refuses link-local, metadata, multicast, unspecified and reserved addresses, and
// IPv6 addresses that carry an IPv4 address. The exception is NAT64: an address in
// 64:ff9b::/96 is allowed if it carries a public IPv4 address.
type Policy int

// The policies. Each allows more than the one before.
const (
	Public   Policy = iota // public addresses only
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

// publicOnly checks what a NAT64 address carries, under every policy.
var publicOnly = ssrf.New(ssrf.WithAnyPort())

// Resolver looks up the addresses of a host, as *net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Guard decides which addresses may be called. It is safe for concurrent use.
type Guard struct {
	policy    Policy
	addresses *ssrf.Guardian
	resolver  Resolver
	forbidden uint16 // port on loopback, 0 for none
	proxied   bool   // names are resolved elsewhere
}

// New returns a guard with policy p. A nil resolver means net.DefaultResolver.
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

// ForbidLocalPort makes g refuse a port of all loopback addresses under every policy,
// such as that of AWS Lambda's Runtime API, which has no authentication. Call it
// before using g.
func (g *Guard) ForbidLocalPort(port uint16) { g.forbidden = port }

// ViaProxy makes CheckURL resolve no names: a proxy does, by its own rules. Call it
// before using g.
func (g *Guard) ViaProxy() { g.proxied = true }

// dialTimeout limits a connection attempt of a caller whose context has no shorter
// deadline.
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

// Control is a net.Dialer's ControlContext. The dialer calls it with the resolved
// address before connecting. It returns an *AddressError if the address is not
// allowed.
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

// AddressError reports that an address is not allowed.
type AddressError struct {
	Addr netip.Addr
	Kind string // what the address is, e.g. "a loopback address"
}

// Error returns a text for the log. It contains the address, which must not be shown
// to customers.
func (e *AddressError) Error() string {
	if !e.Addr.IsValid() {
		return "the target's address is " + e.Kind + ", which is not allowed"
	}
	return "the address " + e.Addr.String() + " is " + e.Kind + ", which is not allowed"
}

// AsAddressError returns the AddressError in err's chain, or nil.
func AsAddressError(err error) *AddressError {
	if e, ok := errors.AsType[*AddressError](err); ok {
		return e
	}
	return nil
}
