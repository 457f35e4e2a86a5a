//! The memory adapter: one process's maps with expiry.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use types::InstanceId;

/// Entries of one kind; the oldest expired ones make room, and a full map refuses.
pub const MAX_ENTRIES: usize = 100_000;

/// The cache could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The map is full of live entries.
    #[error("cache is full: {MAX_ENTRIES} entries")]
    Full,
}

/// Who holds a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The holder.
    pub holder: InstanceId,
    /// Its fencing number; 0 until it is known.
    pub fencing: u64,
}

/// What was counted in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hits {
    /// How often.
    pub count: u32,
    /// Until the window ends and the count starts over.
    pub resets_in: Duration,
}

struct Expiring<T> {
    value: T,
    until: Instant,
}

type Map<T> = Mutex<HashMap<String, Expiring<T>>>;

#[derive(Default)]
struct Maps {
    leases: Map<Lease>,
    presence: Map<Vec<u8>>,
    hits: Map<u32>,
}

/// The cache of one process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cache {
    maps: Arc<Maps>,
}

/// Removes what has expired once a map is half full, so that the sweep's cost is spread.
fn make_room<T>(map: &mut HashMap<String, Expiring<T>>) -> Result<(), CacheError> {
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

impl Cache {
    /// An empty cache in memory.
    pub fn memory() -> Self {
        Self::default()
    }

    /// Takes or prolongs the lease on `key`. Answers who holds it now: `wanted`, or another.
    pub fn lease(&self, key: &str, wanted: Lease, ttl: Duration) -> Result<Lease, CacheError> {
        let mut leases = self.maps.leases.lock();
        let now = Instant::now();
        if let Some(held) = leases.get(key).filter(|held| held.until > now)
            && held.value.holder != wanted.holder
        {
            return Ok(held.value);
        }
        make_room(&mut leases)?;
        leases.insert(
            key.to_owned(),
            Expiring {
                value: wanted,
                until: now + ttl,
            },
        );
        Ok(wanted)
    }

    /// Who holds the lease on `key`, if anyone does.
    pub fn lease_holder(&self, key: &str) -> Option<Lease> {
        let leases = self.maps.leases.lock();
        leases
            .get(key)
            .filter(|held| held.until > Instant::now())
            .map(|held| held.value)
    }

    /// Gives the lease on `key` back, if `holder` has it.
    pub fn release(&self, key: &str, holder: InstanceId) {
        let mut leases = self.maps.leases.lock();
        if leases
            .get(key)
            .is_some_and(|held| held.value.holder == holder)
        {
            leases.remove(key);
        }
    }

    /// Says that `key` is there, with what is known of it, for `ttl`.
    pub fn put_presence(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), CacheError> {
        let mut presence = self.maps.presence.lock();
        if !presence.contains_key(key) {
            make_room(&mut presence)?;
        }
        presence.insert(
            key.to_owned(),
            Expiring {
                value,
                until: Instant::now() + ttl,
            },
        );
        Ok(())
    }

    /// What is there under keys starting with `prefix`.
    pub fn presence(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let now = Instant::now();
        let presence = self.maps.presence.lock();
        let mut found: Vec<_> = presence
            .iter()
            .filter(|(key, entry)| key.starts_with(prefix) && entry.until > now)
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect();
        found.sort();
        found
    }

    /// How often `key` was hit in the current window of `window`, without hitting it.
    pub fn hits(&self, key: &str) -> u32 {
        let hits = self.maps.hits.lock();
        hits.get(key)
            .filter(|entry| entry.until > Instant::now())
            .map_or(0, |entry| entry.value)
    }

    /// Counts a hit of `key` in a window of `window` that starts with its first hit. Answers the count.
    pub fn hit(&self, key: &str, window: Duration) -> Result<u32, CacheError> {
        self.count(key, window).map(|hits| hits.count)
    }

    /// The same; answers when the window ends, too.
    pub fn count(&self, key: &str, window: Duration) -> Result<Hits, CacheError> {
        let mut hits = self.maps.hits.lock();
        let now = Instant::now();
        if let Some(entry) = hits.get_mut(key).filter(|entry| entry.until > now) {
            entry.value = entry.value.saturating_add(1);
            return Ok(Hits {
                count: entry.value,
                resets_in: entry.until - now,
            });
        }
        make_room(&mut hits)?;
        hits.insert(
            key.to_owned(),
            Expiring {
                value: 1,
                until: now + window,
            },
        );
        Ok(Hits {
            count: 1,
            resets_in: window,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_lease_has_one_holder_until_it_expires() {
        let cache = Cache::memory();
        let a = Lease {
            holder: InstanceId::new(),
            fencing: 1,
        };
        let b = Lease {
            holder: InstanceId::new(),
            fencing: 2,
        };
        assert_eq!(cache.lease("s", a, TTL), Ok(a));
        assert_eq!(cache.lease("s", b, TTL), Ok(a));
        tokio::time::advance(TTL / 2).await;
        assert_eq!(cache.lease("s", a, TTL), Ok(a), "prolonged");
        tokio::time::advance(TTL - Duration::from_millis(1)).await;
        assert_eq!(cache.lease("s", b, TTL), Ok(a));
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(cache.lease("s", b, TTL), Ok(b));
        cache.release("s", a.holder);
        assert_eq!(cache.lease_holder("s"), Some(b), "only the holder releases");
        cache.release("s", b.holder);
        assert_eq!(cache.lease_holder("s"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn presence_lasts_its_time() {
        let cache = Cache::memory();
        cache.put_presence("edge/1", b"x".to_vec(), TTL).unwrap();
        cache.put_presence("ingest/1", b"y".to_vec(), TTL).unwrap();
        assert_eq!(
            cache.presence("edge/"),
            [("edge/1".to_owned(), b"x".to_vec())]
        );
        tokio::time::advance(TTL).await;
        assert!(cache.presence("edge/").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn hits_are_counted_by_window() {
        let cache = Cache::memory();
        for expected in 1..=3 {
            assert_eq!(cache.hit("a", TTL), Ok(expected));
        }
        assert_eq!((cache.hits("a"), cache.hits("b")), (3, 0));
        tokio::time::advance(TTL).await;
        assert_eq!(cache.hit("a", TTL), Ok(1));
    }
}
