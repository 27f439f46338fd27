package netguard

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// nameserver is a DNS server in memory: each question for an IPv4 address gets
// the next of its answers, and the last one from then on; there is no IPv6.
type nameserver struct {
	answers []netip.Addr
	asked   atomic.Int64
}

func (n *nameserver) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go n.serve(server)
		return client, nil
	}}
}

// serve answers one question of the stream form: two bytes of length first.
func (n *nameserver) serve(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 1500)
	for {
		size, err := conn.Read(buf)
		if err != nil || size < 2+12 {
			return
		}
		question := buf[2:size]
		end := 12 // of the name
		for question[end] != 0 {
			end += int(question[end]) + 1
		}
		isA := question[end+2] == 1
		reply := append([]byte(nil), question[:end+5]...)
		reply[2], reply[3] = 0x81, 0x80 // a response, no error
		copy(reply[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
		if isA {
			i := min(n.asked.Add(1)-1, int64(len(n.answers)-1))
			addr := n.answers[i].As4()
			reply[7] = 1
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			reply = append(reply, addr[:]...)
		}
		if _, err := conn.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))}, reply...)); err != nil {
			return
		}
	}
}

func TestDialRefusesWhatDNSChangedTo(t *testing.T) {
	receiver, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	var connected atomic.Bool
	go func() {
		if conn, err := receiver.Accept(); err == nil {
			connected.Store(true)
			_ = conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(receiver.Addr().String())
	dns := &nameserver{answers: []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("127.0.0.1")}}
	guard := New(Public, dns.resolver())

	if err := guard.CheckURL(t.Context(), "http://rebind.test:"+port+"/"); err != nil {
		t.Fatalf("CheckURL while the host is public: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := guard.Dialer().DialContext(ctx, "tcp", "rebind.test:"+port)
	if err == nil {
		_ = conn.Close()
	}
	if e := AsAddressError(err); e == nil || e.Kind != "a loopback address" {
		t.Errorf("dial after the host moved to 127.0.0.1: %v, want an AddressError", err)
	}
	if connected.Load() {
		t.Error("the receiver on loopback was reached")
	}
	if dns.asked.Load() < 2 {
		t.Errorf("the name was resolved %d times, want once to check and once to dial", dns.asked.Load())
	}

	// The same dial goes through where loopback is allowed: it is the guard
	// that refused it, not the set-up of this test.
	conn, err = New(Loopback, dns.resolver()).Dialer().DialContext(ctx, "tcp", "rebind.test:"+port)
	if err != nil {
		t.Fatalf("dial with loopback allowed: %v", err)
	}
	_ = conn.Close()
}

func TestDialRefusesMappedLoopback(t *testing.T) {
	_, err := New(Public, nil).Dialer().DialContext(t.Context(), "tcp", "[::ffff:127.0.0.1]:9")
	if AsAddressError(err) == nil {
		t.Errorf("dial = %v, want an AddressError", err)
	}
}
