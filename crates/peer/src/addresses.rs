//! The addresses of this machine, as others may reach it.

use std::net::{IpAddr, SocketAddr};

/// More are not offered: each is tried with each of the other end's.
const MAX_ADDRESSES: usize = 12;

/// The addresses behind a socket, those that only this machine can reach last. `bound` is where it listens.
pub(crate) fn of(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "addresses of this machine are unknown");
        Vec::new()
    });
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|ip| ip.is_ipv4() == bound.is_ipv4() && is_usable(ip))
        .collect();
    addresses.sort_by_key(IpAddr::is_loopback);
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    let addresses = addresses.into_iter();
    addresses
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .collect()
}

/// Link-local addresses need to know the interface, which no candidate says.
fn is_usable(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_last_and_a_bound_address_is_the_only_one() {
        let all = of("0.0.0.0:5000".parse().unwrap());
        assert!(all.iter().all(|a| a.port() == 5000 && a.is_ipv4()));
        assert!(
            all.last().is_some_and(|last| last.ip().is_loopback()),
            "{all:?}"
        );
        let bound = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(of(bound), [bound]);
    }
}
