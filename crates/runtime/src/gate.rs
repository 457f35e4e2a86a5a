//! How many connections there may be: in all and from one address. A permit is taken before a
//! connection costs anything.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::log::Seldom;

/// Bounds on simultaneous connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all.
    pub total: u32,
    /// From one IP address. Loopback is exempt: it is where a proxy of ours stands.
    pub per_address: u32,
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The total is reached.
    #[error("too many connections")]
    Total,
    /// The address has its share.
    #[error("too many connections from this address")]
    PerAddress,
}

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// Counts the connections of one listener.
#[derive(Debug, Clone)]
pub struct Gate {
    name: &'static str,
    limits: Limits,
    counts: Arc<Mutex<Counts>>,
    said: Arc<Seldom>,
}

impl Gate {
    /// A gate for the listener `name` (a metric label).
    pub fn new(name: &'static str, limits: Limits) -> Self {
        Self {
            name,
            limits,
            counts: Arc::default(),
            said: Arc::new(Seldom::new()),
        }
    }

    /// Lets a connection from `address` in, until the permit is dropped.
    pub fn admit(&self, address: IpAddr) -> Result<Permit, Refusal> {
        let address = address.to_canonical();
        let mut counts = self.counts.lock();
        let refusal = if counts.total >= self.limits.total {
            Some((Refusal::Total, "total"))
        } else if !address.is_loopback()
            && counts.by_address.get(&address).copied().unwrap_or(0) >= self.limits.per_address
        {
            Some((Refusal::PerAddress, "per_address"))
        } else {
            None
        };
        if let Some((refusal, reason)) = refusal {
            drop(counts);
            metrics::counter!("streamr_connections_refused_total", "listener" => self.name, "reason" => reason)
                .increment(1);
            if let Some(unsaid) = self.said.say() {
                tracing::warn!(listener = self.name, reason, peer = %address, unsaid, "connection refused");
            }
            return Err(refusal);
        }
        counts.total += 1;
        *counts.by_address.entry(address).or_insert(0) += 1;
        metrics::gauge!("streamr_connections", "listener" => self.name)
            .set(f64::from(counts.total));
        Ok(Permit {
            gate: self.clone(),
            address,
        })
    }
}

/// One connection's place; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    gate: Gate,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock();
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        metrics::gauge!("streamr_connections", "listener" => self.gate.name)
            .set(f64::from(counts.total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn places_are_bounded_and_come_back() {
        let gate = Gate::new(
            "test",
            Limits {
                total: 3,
                per_address: 2,
            },
        );
        let first = gate.admit(A).unwrap();
        let _second = gate.admit(A).unwrap();
        assert_eq!(gate.admit(A).unwrap_err(), Refusal::PerAddress);
        let _third = gate.admit(B).unwrap();
        assert_eq!(gate.admit(B).unwrap_err(), Refusal::Total);
        drop(first);
        assert!(gate.admit(A).is_ok());
    }

    #[test]
    fn an_address_that_left_is_forgotten() {
        let gate = Gate::new(
            "test",
            Limits {
                total: 3,
                per_address: 2,
            },
        );
        drop(gate.admit(A));
        assert!(gate.counts.lock().by_address.is_empty());
    }
}
