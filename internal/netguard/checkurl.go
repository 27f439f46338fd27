package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/usertext"
)

// lookupTimeout limits the DNS lookup of CheckURL.
const lookupTimeout = 5 * time.Second

// CheckURL checks a target before it is registered. It resolves the host, for at
// most 5 s, and fails with problem.InvalidTarget if the URL is not an absolute
// http or https URL, if its host cannot be resolved, or if any of its addresses is
// not allowed. The message completes a sentence that begins with the field. It names
// the host and what is wrong with it, never the rest of the URL, which may contain
// secrets. Under the Public policy it does not say why a name has no public address:
// a customer could otherwise probe the names of our network.
func (g *Guard) CheckURL(ctx context.Context, rawURL string) error {
	u, err := usertext.ParseURL(rawURL)
	if err != nil {
		return problem.New(problem.InvalidTarget, "the URL is invalid; write it like https://example.com/path")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return problem.New(problem.InvalidTarget, "the URL must start with http:// or https://, followed by a host")
	}
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkHost(host, addr)
	}
	if err := checkName(host); err != nil {
		return err
	}
	if g.proxied {
		return g.CheckLiteral(host)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if err := g.checkAddrs(ctx, host); err != nil {
		if g.policy > Public {
			return err
		}
		return problem.Wrap(err, problem.InvalidTarget, "the host %q does not resolve to public addresses only; check the name or try again", host)
	}
	return nil
}

// CheckLiteral checks a host that needs no resolver: an address, or localhost and the
// names below it. Other names pass.
func (g *Guard) CheckLiteral(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkHost(host, addr)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return g.checkHost(host, loopback4.Addr())
	}
	return nil
}

// checkAddrs looks up a name and checks all its addresses.
func (g *Guard) checkAddrs(ctx context.Context, host string) error {
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return unresolved(host, err)
	}
	if len(addrs) == 0 {
		return unresolved(host, nil)
	}
	for _, addr := range addrs {
		// net.Resolver returns IPv4 addresses in IPv6 form and the dialer converts
		// them back: check the address that it will dial.
		if err := g.checkHost(host, addr.Unmap()); err != nil {
			return err
		}
	}
	return nil
}

func (g *Guard) checkHost(host string, addr netip.Addr) error {
	err := g.Check(addr)
	if err == nil {
		return nil
	}
	return problem.Wrap(err, problem.InvalidTarget,
		"the host %q has %s, which is not allowed; use a host with public addresses only", host, AsAddressError(err).Kind)
}

// checkName refuses names that resolvers interpret differently: numbers (some read
// 2130706433, 0x7f.1 and 127.1 as 127.0.0.1) and letters outside ASCII.
func checkName(host string) error {
	for i := range len(host) {
		if host[i] >= 0x80 {
			return problem.New(problem.InvalidTarget, "the host %q has letters outside ASCII; write it in its xn-- form", host)
		}
	}
	last := strings.TrimSuffix(host, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	digits, set := last, "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		digits, set = hex, "0123456789abcdef"
	}
	if last != "" && strings.Trim(digits, set) == "" {
		return problem.New(problem.InvalidTarget, "the host %q is a number; write an address as four decimal numbers, like 192.0.2.1, or use a name", host)
	}
	return nil
}

func unresolved(host string, err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); err != nil && (!ok || !dns.IsNotFound) {
		return problem.Wrap(err, problem.InvalidTarget, "the host %q cannot be resolved now; check the name or try again", host)
	}
	return problem.Wrap(err, problem.InvalidTarget, "the host %q cannot be resolved; check the name", host)
}
