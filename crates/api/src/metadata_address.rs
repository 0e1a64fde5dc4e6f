//! The addresses at which clouds hand the machine's own credentials to whoever asks from it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every one that is known: AWS with its containers, Azure, Google, Oracle and most others at the first, Alibaba, Oracle and
/// Azure at addresses of their own, AWS and Google over IPv6.
pub const METADATA_ADDRESSES: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

/// Whether it is one of them, or link-local or among AWS's own, where there may be another; however it is written.
pub fn is_metadata_address(address: IpAddr) -> bool {
    let address = canonical_address(address);
    let among = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.segments()[..3] == [0xfd00, 0x0ec2, 0],
    };
    among || METADATA_ADDRESSES.contains(&address)
}

/// An IPv4 address also where it is written as an IPv6 one: mapped, or behind the prefixes of NAT64 and 6to4.
pub fn canonical_address(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let at = |high: u16, low: u16| IpAddr::from([(high >> 8) as u8, high as u8, (low >> 8) as u8, low as u8]);
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => at(high, low),
        _ => address.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clouds_address_is_known_in_every_writing_and_others_are_not() {
        let is = |address: &str| is_metadata_address(address.parse().unwrap());
        for address in [
            "169.254.169.254",
            "169.254.1.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd00:ec2::1:2",
            "fd20:ce::254",
        ] {
            assert!(is(address), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "100.100.100.201", "8.8.8.8", "::1", "fd00::1", "2606:4700::1111"] {
            assert!(!is(address), "{address}");
        }
    }
}
