//! The cache as services see it: Redis while it answers, this process's memory otherwise.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use runtime::health::Check;
use types::InstanceId;

use crate::{
    CacheError, Hits, Lease, MAX_VALUE,
    memory::Memory,
    redis::{Answer, Redis},
};

/// How often Redis is asked whether it answers.
const PING: Duration = Duration::from_secs(1);

/// The cache. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cache {
    memory: Arc<Memory>,
    redis: Option<Arc<Redis>>,
}

fn fits(value: &[u8]) -> Result<(), CacheError> {
    if value.len() > MAX_VALUE {
        return Err(CacheError::TooLong(value.len()));
    }
    Ok(())
}

impl Cache {
    /// An empty cache in memory.
    pub fn memory() -> Self {
        Self::default()
    }

    /// The cache behind a URL; every key in Redis starts with `prefix`. Redis may be away: it is tried
    /// when it is needed.
    pub fn connect(url: &str, prefix: &str) -> Result<Self, CacheError> {
        let redis = match url.split(':').next() {
            Some("memory") => None,
            Some("redis" | "rediss") => Some(Arc::new(Redis::open(url, prefix)?)),
            _ => {
                return Err(CacheError::Url(
                    "no such cache; write \"memory:\" or \"redis://<host>:6379\"".to_owned(),
                ));
            }
        };
        Ok(Self {
            memory: Arc::default(),
            redis,
        })
    }

    /// Whether Redis answers now; memory always does.
    pub async fn ping(&self) -> Result<(), CacheError> {
        match &self.redis {
            Some(redis) => redis.ping().await,
            None => Ok(()),
        }
    }

    /// Keeps a readiness check true to what Redis does. Never returns: its owner ends it.
    pub async fn watch(self, check: Check) {
        loop {
            match self.ping().await {
                Ok(()) => check.ok(),
                Err(error) => check.fail(error.to_string()),
            }
            tokio::time::sleep(PING).await;
        }
    }

    /// Takes or prolongs the lease on `key`. Answers who holds it now: `wanted`, or another. A fencing
    /// number below one that was used is refused.
    pub async fn lease(
        &self,
        key: &str,
        wanted: Lease,
        ttl: Duration,
    ) -> Result<Lease, CacheError> {
        let memory = &self.memory.leases;
        if let Some(redis) = &self.redis
            && let Ok(answer) = redis.lease(key, wanted, ttl, memory.known(key)).await
        {
            return match answer {
                Answer::Held(lease, ttl) => {
                    memory.adopt(key, lease, ttl)?;
                    Ok(lease)
                }
                Answer::Fenced(known) => {
                    memory.raise(key, known);
                    Err(CacheError::Fenced { known })
                }
            };
        }
        memory.lease(key, wanted, ttl)
    }

    /// Who holds the lease on `key`, if anyone does.
    pub async fn lease_holder(&self, key: &str) -> Option<Lease> {
        let known = || self.memory.leases.known(key).held.map(|(lease, _)| lease);
        let Some(redis) = &self.redis else {
            return known();
        };
        match redis.holder(key).await {
            Ok(None) if redis.is_relearning() => known(),
            Ok(holder) => holder,
            Err(_) => known(),
        }
    }

    /// Gives the lease on `key` back, if `holder` has it.
    pub async fn release(&self, key: &str, holder: InstanceId) {
        self.memory.leases.release(key, holder);
        if let Some(redis) = &self.redis {
            // It runs out by itself.
            let _ = redis.release(key, holder).await;
        }
    }

    /// Says that `key`, written `kind/name`, is there, with what is known of it, for `ttl`.
    pub async fn put_presence(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        fits(&value)?;
        self.memory.put_presence(key, value.clone(), ttl)?;
        if let Some(redis) = &self.redis
            && let Ok(false) = redis.put_presence(key, &value, ttl).await
        {
            metrics::counter!("streamr_cache_full_total").increment(1);
            return Err(CacheError::Full);
        }
        Ok(())
    }

    /// What is there under keys starting with `prefix`, which names the kind: `kind/`. What was said to
    /// this process counts, whatever Redis forgot.
    pub async fn presence(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let mut found: BTreeMap<_, _> = self.memory.presence(prefix).into_iter().collect();
        if let Some(redis) = &self.redis
            && let Ok(shared) = redis.presence(prefix).await
        {
            found.extend(shared);
        }
        found.into_iter().collect()
    }

    /// Keeps a value for `ttl`: a session, or an answer worth having again.
    pub async fn put(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), CacheError> {
        fits(&value)?;
        self.memory.put(key, value.clone(), ttl)?;
        if let Some(redis) = &self.redis {
            // While Redis is away, memory has it.
            let _ = redis.put(key, &value, ttl).await;
        }
        Ok(())
    }

    /// A value that was kept.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let Some(redis) = &self.redis else {
            return self.memory.get(key);
        };
        if self.memory.is_to_tell(key) {
            if redis.remove(key).await.is_ok() {
                self.memory.told(key);
            }
            return None;
        }
        match redis.get(key).await {
            Ok(value) => value,
            Err(_) => self.memory.get(key),
        }
    }

    /// Forgets a value. While Redis is away, this process refuses to know it, and tells Redis later.
    pub async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.memory.remove(key);
        match &self.redis {
            Some(redis) if redis.remove(key).await.is_err() => self.memory.tell_later(key),
            _ => Ok(()),
        }
    }

    /// How often `key` was hit in its current window, without hitting it.
    pub async fn hits(&self, key: &str) -> u32 {
        if let Some(redis) = &self.redis
            && let Ok(hits) = redis.hits(key).await
        {
            return hits;
        }
        self.memory.hits(key)
    }

    /// Counts a hit of `key` in a window of `window` that starts with its first hit. Answers the count.
    pub async fn hit(&self, key: &str, window: Duration) -> Result<u32, CacheError> {
        Ok(self.count(key, window).await?.count)
    }

    /// The same; answers when the window ends, too.
    pub async fn count(&self, key: &str, window: Duration) -> Result<Hits, CacheError> {
        if let Some(redis) = &self.redis
            && let Ok(hits) = redis.count(key, window).await
        {
            return Ok(hits);
        }
        self.memory.count(key, window)
    }
}
