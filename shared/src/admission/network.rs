//! The part of a network address that limits count by: one IPv4 address, or the /64 that IPv6 gives a site.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IPv4 /32 or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkPrefix(Prefix);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Prefix {
    V4(u32),
    V6(u64),
}

/// The text is not an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address")]
pub struct InvalidAddress;

impl NetworkPrefix {
    /// An IPv4 address in IPv6's clothes (`::ffff:192.0.2.1`) is the IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(Prefix::V4(v4.to_bits())),
            IpAddr::V6(v6) => Self(Prefix::V6(upper_half(v6))),
        }
    }

    /// A number that no other prefix has.
    #[must_use]
    pub(super) const fn number(self) -> u128 {
        match self.0 {
            Prefix::V4(bits) => bits as u128,
            Prefix::V6(bits) => (1 << 64) | bits as u128,
        }
    }
}

const fn upper_half(address: Ipv6Addr) -> u64 {
    (address.to_bits() >> 64) as u64
}

impl fmt::Display for NetworkPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Prefix::V4(bits) => Ipv4Addr::from_bits(bits).fmt(f),
            Prefix::V6(bits) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(bits) << 64)),
        }
    }
}

impl FromStr for NetworkPrefix {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        text.parse().map(Self::of).map_err(|_| InvalidAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> NetworkPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn an_ipv6_site_is_one_network_and_an_ipv4_address_another() {
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.2.2"));
        assert_ne!(prefix("0.0.0.1").number(), prefix("0:0:0:1::").number());
    }

    #[test]
    fn a_mapped_address_counts_as_the_ipv4_address_it_is() {
        assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.1"));
        assert_ne!(prefix("::ffff:192.0.2.1"), prefix("::ffff:192.0.2.2"));
    }

    #[test]
    fn a_network_is_written_as_people_write_it() {
        assert_eq!(prefix("2001:db8:1:2:ffff::1").to_string(), "2001:db8:1:2::/64");
        assert_eq!(prefix("::ffff:192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "192.0.2", "192.0.2.1, 10.0.0.1", "192.0.2.1:80", "[::1]", "fe80::1%eth0", " ::1"] {
            assert_eq!(bad.parse::<NetworkPrefix>(), Err(InvalidAddress), "{bad:?}");
        }
    }
}
