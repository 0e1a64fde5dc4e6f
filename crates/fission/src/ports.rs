//! Binding the listeners, and who has a port that is taken.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

/// State of a listening socket in `/proc/net/tcp` (`TCP_LISTEN` of the kernel's tcp_states.h).
const LISTEN: &str = "0A";

/// Binds `address`. `flag` is what the user would change.
pub(crate) async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let owner = if error.kind() == std::io::ErrorKind::AddrInUse { owner(address) } else { None };
        let owner = owner.map(|owner| format!(" by {owner}")).unwrap_or_default();
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                anyhow!("{address} is taken{owner}; end that, or choose another address with {flag} (port 0 takes a free one)")
            }
            _ => anyhow!("cannot listen on {address}: {error}; choose another address with {flag}"),
        }
    })
}

/// The process that listens on `address`, as `name (pid 123)`, where this user may see it.
fn owner(address: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| listening_inode(line, address))
    })?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut descriptors = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        descriptors.find(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))?;
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some(format!("{} (pid {pid})", name.trim()))
    })
}

/// The inode of a line of `/proc/net/tcp` whose socket keeps `address` from being bound.
fn listening_inode(line: &str, address: SocketAddr) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (ip, port) = local.split_once(':')?;
    let ip = parse_ip(ip)?;
    let same = u16::from_str_radix(port, 16).ok()? == address.port()
        && (ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified());
    (same && *state == LISTEN).then(|| (*inode).to_owned())
}

/// Addresses stand there as hexadecimal words in the machine's byte order.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_its_owner_and_the_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = bind(taken.local_addr().unwrap(), "--listen-api").await.unwrap_err().to_string();
        assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        assert!(error.contains("--listen-api"), "{error}");
    }

    #[test]
    fn addresses_of_proc_net_tcp_are_understood() {
        assert_eq!(parse_ip("0100007F"), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(parse_ip("00000000000000000000000001000000"), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(parse_ip("junk"), None);
    }
}
