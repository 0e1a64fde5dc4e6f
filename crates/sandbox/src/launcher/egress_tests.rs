//! Tests of the programs that keep addresses out of reach, run here by a machine of a few lines.

use super::*;

/// Runs a program on a destination; `true` when it may be reached.
fn may(program: &[u64], address: IpAddr, port: u16) -> bool {
    let mut registers = [0_u32; 10];
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let word = |n: usize| u32::from_ne_bytes(octets[4 * n..4 * n + 4].try_into().unwrap());
    let mut at = 0;
    loop {
        let step = program[at];
        let (code, offset, number) = (step as u8, (step >> 16) as i16, (step >> 32) as u32);
        let (to, from) = ((step >> 8 & 15) as usize, (step >> 12 & 15) as usize);
        at += 1;
        match code {
            0x61 => {
                registers[to] = match offset {
                    PORT => port.to_be().into(),
                    ADDRESS_4 => word(3),
                    offset => word((offset - ADDRESS_6) as usize / 4),
                }
            }
            0xbc => registers[to] = registers[from],
            0x54 => registers[to] &= number,
            0x56 if registers[to] != number => at += offset as usize,
            0x56 => {}
            0xb7 => registers[to] = number,
            0x95 => return registers[0] == 1,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn metadata_is_out_of_reach_and_the_rest_is_not() {
    let (fourth, sixth) = (program(&metadata_rules(), true, false), program(&metadata_rules(), true, true));
    assert!(!may(&fourth, address("169.254.169.254"), 80));
    assert!(!may(&fourth, address("100.100.100.200"), 80));
    assert!(may(&fourth, address("169.254.169.254"), 53), "names are resolved there");
    assert!(may(&fourth, address("169.254.169.253"), 80));
    assert!(!may(&sixth, address("fd00:ec2::254"), 80));
    assert!(!may(&sixth, address("::ffff:169.254.169.254"), 80), "the same in disguise");
    assert!(may(&sixth, address("2001:db8::1"), 443));
}

#[test]
fn of_a_list_only_what_is_on_it_may_be_reached() {
    let at = |text: &str, prefix, port| (Destination { address: address(text), prefix, port }, true);
    let rules = [at("10.1.0.0", 16, None), at("192.0.2.7", 32, Some(5432)), at("2001:db8::", 33, Some(443))];
    let (fourth, sixth) = (program(&rules, false, false), program(&rules, false, true));
    for (text, port, expected) in [
        ("10.1.255.1", 1, true),
        ("10.2.0.1", 1, false),
        ("192.0.2.7", 5432, true),
        ("192.0.2.7", 5433, false),
        ("127.0.0.1", 80, false),
    ] {
        assert_eq!(may(&fourth, address(text), port), expected, "{text} {port}");
        assert_eq!(may(&sixth, address(&format!("::ffff:{text}")), port), expected, "{text} {port} in disguise");
    }
    assert!(may(&sixth, address("2001:db8:7fff::1"), 443));
    assert!(!may(&sixth, address("2001:db8:8000::1"), 443));
    assert!(!may(&sixth, address("::1"), 443));
}

#[test]
fn everything_can_be_listed() {
    let all = [(Destination { address: address("0.0.0.0"), prefix: 0, port: None }, true)];
    assert!(may(&program(&all, false, false), address("8.8.8.8"), 1));
    assert!(!may(&program(&all, false, true), address("2001:db8::1"), 1), "of one version only");
}
