//! Leases in memory, and the highest fencing number of each key.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use types::InstanceId;

use crate::{
    CacheError,
    memory::{Expiring, make_room},
};

/// How long a key's highest fencing number is remembered after its last use.
pub(crate) const FLOOR_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Who holds a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The holder.
    pub holder: InstanceId,
    /// Its fencing number; 0 until it is counted, which claims the lease and gives no right to write.
    pub fencing: u64,
}

/// What this process knows of a key.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// The highest fencing number used.
    pub(crate) floor: u64,
    /// Who holds the lease, and for how long.
    pub(crate) held: Option<(Lease, Duration)>,
}

#[derive(Default)]
struct Kept {
    held: HashMap<String, Expiring<Lease>>,
    floors: HashMap<String, Expiring<u64>>,
}

/// All leases this process knows of.
#[derive(Default)]
pub(crate) struct Leases {
    kept: Mutex<Kept>,
}

impl Leases {
    /// Takes or prolongs the lease on `key`.
    pub(crate) fn lease(
        &self,
        key: &str,
        wanted: Lease,
        ttl: Duration,
    ) -> Result<Lease, CacheError> {
        let mut kept = self.kept.lock();
        let known = kept.known(key);
        let held = known.held.map(|(lease, _)| lease);
        if let Some(held) = held.filter(|held| held.holder != wanted.holder) {
            return Ok(held);
        }
        let fencing = match (wanted.fencing, held) {
            (0, held) => held.map_or(0, |held| held.fencing),
            (number, _) if number < known.floor => {
                return Err(CacheError::Fenced { known: known.floor });
            }
            (number, _) => number,
        };
        let lease = Lease { fencing, ..wanted };
        kept.keep(key, lease, ttl)?;
        Ok(lease)
    }

    /// Takes over what Redis said.
    pub(crate) fn adopt(&self, key: &str, lease: Lease, ttl: Duration) -> Result<(), CacheError> {
        self.kept.lock().keep(key, lease, ttl)
    }

    /// What is known of `key`.
    pub(crate) fn known(&self, key: &str) -> Known {
        self.kept.lock().known(key)
    }

    /// Redis knows a higher number.
    pub(crate) fn raise(&self, key: &str, floor: u64) {
        self.kept.lock().raise(key, floor);
    }

    /// Gives the lease on `key` back, if `holder` has it; its number stays known.
    pub(crate) fn release(&self, key: &str, holder: InstanceId) {
        let mut kept = self.kept.lock();
        if kept
            .held
            .get(key)
            .is_some_and(|held| held.value.holder == holder)
        {
            kept.held.remove(key);
        }
    }
}

impl Kept {
    fn known(&self, key: &str) -> Known {
        let now = Instant::now();
        let held = self.held.get(key).filter(|held| held.until > now);
        Known {
            floor: self
                .floors
                .get(key)
                .filter(|floor| floor.until > now)
                .map_or(0, |floor| floor.value),
            held: held.map(|held| (held.value, held.until - now)),
        }
    }

    fn keep(&mut self, key: &str, lease: Lease, ttl: Duration) -> Result<(), CacheError> {
        if !self.held.contains_key(key) {
            make_room(&mut self.held)?;
        }
        self.held.insert(key.to_owned(), Expiring::new(lease, ttl));
        self.raise(key, lease.fencing);
        Ok(())
    }

    fn raise(&mut self, key: &str, floor: u64) {
        let floor = floor.max(self.known(key).floor);
        // The database counts in any case: a full map only forgets who is late.
        if floor > 0 && (self.floors.contains_key(key) || make_room(&mut self.floors).is_ok()) {
            self.floors
                .insert(key.to_owned(), Expiring::new(floor, FLOOR_KEPT));
        }
    }
}
