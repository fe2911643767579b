package access

import (
	"net/netip"
	"strings"
)

// ClientNetwork names the network of one client: an IPv4 address, or a /64 of
// IPv6, since all its addresses are a single client's to choose from.
func ClientNetwork(ip string) string { return Network(ip, 64) }

// Network names a network: an IPv4 address, or the first bits of an IPv6 one.
// What is no address stands for itself.
func Network(ip string, bits int) string {
	if !strings.Contains(ip, ":") {
		return ip
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ip
	}
	return p.String()
}

// Internal reports whether an address is of this machine or of a private
// network, or unknown: it may be a proxy's, behind which everybody is.
func Internal(ip string) bool {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return true
	}
	a = a.Unmap().WithZone("")
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}
