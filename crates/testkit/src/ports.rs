//! Free ports on loopback.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the range the kernel takes outgoing connections' ports from: what is free stays free.
const FIRST: u16 = 10_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address nobody listens on, never handed out twice by this process.
pub fn free_address() -> SocketAddr {
    // Test programs that run side by side start at different places.
    let start = (std::process::id() % 199) as u16 * 100;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(step)) % (LAST - FIRST);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
