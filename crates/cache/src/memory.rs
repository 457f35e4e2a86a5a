//! The memory adapter: one process's maps with expiry.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{CacheError, leases::Leases};

/// Entries of one kind; the oldest expired ones make room, and a full map refuses.
pub const MAX_ENTRIES: usize = 100_000;
/// Bytes of one value.
pub const MAX_VALUE: usize = 256 * 1024;
/// How long a key that was removed while Redis was away is remembered, so that Redis is told.
const TOLD: Duration = Duration::from_secs(24 * 3600);

/// What was counted in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hits {
    /// How often.
    pub count: u32,
    /// Until the window ends and the count starts over.
    pub resets_in: Duration,
}

pub(crate) struct Expiring<T> {
    pub(crate) value: T,
    pub(crate) until: Instant,
}

impl<T> Expiring<T> {
    pub(crate) fn new(value: T, ttl: Duration) -> Self {
        Self {
            value,
            until: Instant::now() + ttl,
        }
    }
}

type Map<T> = Mutex<HashMap<String, Expiring<T>>>;

/// What one process remembers.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) leases: Leases,
    presence: Map<Vec<u8>>,
    values: Map<Vec<u8>>,
    /// Values removed while Redis was away.
    removed: Map<()>,
    hits: Map<u32>,
}

/// Removes what has expired once a map is half full, so that the sweep's cost is spread.
pub(crate) fn make_room<T>(map: &mut HashMap<String, Expiring<T>>) -> Result<(), CacheError> {
    if map.len() >= MAX_ENTRIES / 2 {
        let now = Instant::now();
        map.retain(|_, entry| entry.until > now);
    }
    if map.len() >= MAX_ENTRIES {
        metrics::counter!("streamr_cache_full_total").increment(1);
        return Err(CacheError::Full);
    }
    Ok(())
}

fn put<T>(map: &Map<T>, key: &str, value: T, ttl: Duration) -> Result<(), CacheError> {
    let mut map = map.lock();
    if !map.contains_key(key) {
        make_room(&mut map)?;
    }
    map.insert(key.to_owned(), Expiring::new(value, ttl));
    Ok(())
}

fn get<T: Clone>(map: &Map<T>, key: &str) -> Option<T> {
    let map = map.lock();
    map.get(key)
        .filter(|entry| entry.until > Instant::now())
        .map(|entry| entry.value.clone())
}

impl Memory {
    pub(crate) fn put_presence(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        put(&self.presence, key, value, ttl)
    }

    /// What is there under keys starting with `prefix`, in no order.
    pub(crate) fn presence(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let now = Instant::now();
        let presence = self.presence.lock();
        presence
            .iter()
            .filter(|(key, entry)| key.starts_with(prefix) && entry.until > now)
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect()
    }

    pub(crate) fn put(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), CacheError> {
        self.removed.lock().remove(key);
        put(&self.values, key, value, ttl)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        get(&self.values, key)
    }

    pub(crate) fn remove(&self, key: &str) {
        self.values.lock().remove(key);
    }

    /// Redis could not be told that `key` was removed.
    pub(crate) fn tell_later(&self, key: &str) -> Result<(), CacheError> {
        put(&self.removed, key, (), TOLD)
    }

    /// Whether Redis has yet to be told that `key` was removed.
    pub(crate) fn is_to_tell(&self, key: &str) -> bool {
        get(&self.removed, key).is_some()
    }

    /// Redis was told.
    pub(crate) fn told(&self, key: &str) {
        self.removed.lock().remove(key);
    }

    pub(crate) fn hits(&self, key: &str) -> u32 {
        get(&self.hits, key).unwrap_or(0)
    }

    pub(crate) fn count(&self, key: &str, window: Duration) -> Result<Hits, CacheError> {
        let mut hits = self.hits.lock();
        let now = Instant::now();
        if let Some(entry) = hits.get_mut(key).filter(|entry| entry.until > now) {
            entry.value = entry.value.saturating_add(1);
            return Ok(Hits {
                count: entry.value,
                resets_in: entry.until - now,
            });
        }
        make_room(&mut hits)?;
        hits.insert(key.to_owned(), Expiring::new(1, window));
        Ok(Hits {
            count: 1,
            resets_in: window,
        })
    }
}
