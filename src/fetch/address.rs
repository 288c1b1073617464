//! Which addresses may be connected to when somebody else names the host (G-037: no requests into our own
//! network). In: an address, the operator's exceptions. Out: yes or no.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: `192.0.2.0/24`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    bits: u32,
}

impl Net {
    /// Reads `address/bits`, or an address alone.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|digit| digit.is_ascii_digit()) => {
                (address.parse().ok()?, Some(bits.parse().ok()?))
            }
            Some(_) => return None,
            None => (text.parse().ok()?, None),
        };
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether the address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same4(net, ip, self.bits),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same6(net, ip, self.bits),
            _ => false,
        }
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn same4(net: Ipv4Addr, ip: Ipv4Addr, bits: u32) -> bool {
    let mask = u32::MAX
        .checked_shl(32u32.saturating_sub(bits))
        .unwrap_or(0);
    net.to_bits() & mask == ip.to_bits() & mask
}

fn same6(net: Ipv6Addr, ip: Ipv6Addr, bits: u32) -> bool {
    let mask = u128::MAX
        .checked_shl(128u32.saturating_sub(bits))
        .unwrap_or(0);
    net.to_bits() & mask == ip.to_bits() & mask
}

/// What of the networks that are not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Public addresses are fine.
    Public,
    /// Nothing else (`trust check --allow-net`).
    Nothing,
}

/// Where we may connect.
#[derive(Clone, Debug)]
pub struct Allowed {
    pub nets: Vec<Net>,
    pub rest: Rest,
}

impl Allowed {
    /// Whether this address may be connected to.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.nets.iter().any(|net| net.contains(ip)) || (self.rest == Rest::Public && is_public(ip))
    }
}

/// IANA IPv4 Special-Purpose Address Registry (RFC 6890), the entries that are not globally reachable, with
/// multicast and the deprecated 6to4 relays.
const RESERVED4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Of the global unicast block 2000::/3 (RFC 4291 §2.4), outside of which nothing is public, the entries of
/// the IANA IPv6 registry that are not, and those that carry an IPv4 address inside (Teredo, 6to4).
const RESERVED6: &[([u16; 3], u32)] = &[
    // IETF protocol assignments, Teredo and ORCHID among them.
    ([0x2001, 0, 0], 23),
    // Documentation.
    ([0x2001, 0xdb8, 0], 32),
    ([0x3fff, 0, 0], 20),
    // 6to4.
    ([0x2002, 0, 0], 16),
];

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let inside = |(net, bits): &([u8; 4], u32)| same4(Ipv4Addr::from(*net), ip, *bits);
            !RESERVED4.iter().any(inside)
        }
        IpAddr::V6(ip) => {
            let inside = |([a, b, c], bits): &([u16; 3], u32)| {
                same6(Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0), ip, *bits)
            };
            let global = same6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), ip, 3);
            global && !RESERVED6.iter().any(inside)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_is_not_public_is_refused_unless_it_is_named() {
        let public = Allowed {
            nets: vec![Net::parse("127.0.0.1/32").expect("a net")],
            rest: Rest::Public,
        };
        for (text, allowed) in [
            ("1.1.1.1", true),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.1.2.3", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:127.0.0.1", true),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("ff02::1", false),
            ("2606:4700:4700::1111", true),
        ] {
            assert_eq!(public.allows(ip(text)), allowed, "{text}");
        }
        let only = Allowed {
            nets: vec![Net::parse("192.0.2.0/24").expect("a net")],
            rest: Rest::Nothing,
        };
        assert!(only.allows(ip("192.0.2.9")));
        assert!(!only.allows(ip("192.0.3.9")) && !only.allows(ip("1.1.1.1")));
    }

    #[test]
    fn a_network_is_an_address_with_bits_that_fit() {
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "::/129",
            "a/8",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "::1/a",
        ] {
            assert_eq!(Net::parse(bad), None, "{bad}");
        }
        let all = Net::parse("0.0.0.0/0").expect("a net");
        assert!(all.contains(ip("255.1.1.1")) && !all.contains(ip("::1")));
        assert!(Net::parse("::/0").expect("a net").contains(ip("::1")));
    }
}
