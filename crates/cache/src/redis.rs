//! The Redis adapter: bounded connections, a deadline on every call, every step one script.

mod mark;
mod scripts;

use std::time::Duration;

use deadpool_redis::{
    Manager, Pool,
    redis::{AsyncConnectionConfig, FromRedisValue, Script, ScriptInvocation},
};
use runtime::circuit::{Circuit, Names};
use types::InstanceId;

use self::{mark::Mark, scripts::Scripts};
use crate::{
    CacheError, Hits, Lease, MAX_ENTRIES,
    leases::{FLOOR_KEPT, Known},
};

/// How long one call may take, with its connection's making.
const CALL: Duration = Duration::from_millis(250);
/// Connections of one process.
const CONNECTIONS: usize = 16;
/// Entries of one kind that are listed.
const LISTED: usize = 10_000;

const NAMES: Names = Names {
    lost: "Redis does not answer; this process's memory does",
    back: "Redis answers again",
    failures_total: "streamr_cache_failures_total",
    up: "streamr_cache_up",
};

/// What became of a wish for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Who holds it, and for how long.
    Held(Lease, Duration),
    /// The number went back; the highest that is known.
    Fenced(u64),
}

/// A shared Redis.
pub(crate) struct Redis {
    pool: Pool,
    prefix: String,
    scripts: Scripts,
    circuit: Circuit,
    mark: Mark,
}

fn millis(duration: Duration) -> u64 {
    (duration.as_millis() as u64).max(1)
}

/// What Redis answered is not what our scripts answer.
fn strange(what: &str) -> CacheError {
    CacheError::Unavailable(format!("it answered a lease with {what:?}"))
}

fn number(text: &str) -> Result<u64, CacheError> {
    text.parse().map_err(|_| strange(text))
}

fn lease(holder: &str, fencing: &str) -> Result<Lease, CacheError> {
    Ok(Lease {
        holder: holder.parse().map_err(|_| strange(holder))?,
        fencing: number(fencing)?,
    })
}

impl Redis {
    pub(crate) fn open(url: &str, prefix: &str) -> Result<Self, CacheError> {
        runtime::tls::install_provider();
        // What is wrong is told without the URL: it may hold a password.
        let unusable = |_| {
            let form = "no URL of a Redis; write \"redis://:<password>@<host>:6379/0\"";
            CacheError::Url(form.to_owned())
        };
        let deadlines = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CALL))
            .set_response_timeout(Some(CALL));
        let manager = Manager::new_with_config(url, deadlines).map_err(unusable)?;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .build()
            .map_err(|error| CacheError::Url(error.to_string()))?;
        Ok(Self {
            pool,
            prefix: prefix.to_owned(),
            scripts: Scripts::new(),
            circuit: Circuit::new(NAMES),
            mark: Mark::default(),
        })
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.prefix)
    }

    fn mark_key(&self) -> String {
        format!("{}:mark", self.prefix)
    }

    /// Runs a script, unless Redis failed a moment ago.
    async fn run<T: FromRedisValue>(
        &self,
        invocation: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        if !self.circuit.may_try() {
            let why = "it failed a moment ago".to_owned();
            return Err(CacheError::Unavailable(why));
        }
        self.run_now(invocation).await
    }

    async fn run_now<T: FromRedisValue>(
        &self,
        invocation: &ScriptInvocation<'_>,
    ) -> Result<T, CacheError> {
        let work = async {
            let mut connection = self.pool.get().await.map_err(|error| error.to_string())?;
            let answer = invocation.invoke_async(&mut connection).await;
            answer.map_err(|error| error.to_string())
        };
        let outcome = match tokio::time::timeout(CALL, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} ms", CALL.as_millis())),
        };
        match outcome {
            Ok(answer) => {
                self.circuit.succeeded();
                Ok(answer)
            }
            Err(why) => {
                self.circuit.failed(&why);
                Err(CacheError::Unavailable(why))
            }
        }
    }

    /// Asks at once, whatever failed before; and whether it takes what is written.
    pub(crate) async fn ping(&self) -> Result<(), CacheError> {
        let mut ping = self.scripts.put.key(format!("{}:ping", self.prefix));
        self.run_now(ping.arg(1).arg(1_000)).await
    }

    /// Whether Redis lost its memory a moment ago.
    pub(crate) fn is_relearning(&self) -> bool {
        self.mark.is_relearning()
    }

    pub(crate) async fn lease(
        &self,
        name: &str,
        wanted: Lease,
        ttl: Duration,
        known: Known,
    ) -> Result<Answer, CacheError> {
        let (holder, fencing, left) = known.held.map_or_else(
            || (String::new(), 0, Duration::ZERO),
            |(lease, left)| (lease.holder.to_string(), lease.fencing, left),
        );
        let mut invocation = self.scripts.lease.key(self.key("lease", name));
        invocation
            .key(self.key("fence", name))
            .key(self.mark_key())
            .arg(wanted.holder.to_string())
            .arg(wanted.fencing)
            .arg(millis(ttl))
            .arg(known.floor)
            .arg(Mark::candidate())
            .arg(self.mark.seen())
            .arg(u8::from(self.is_relearning()))
            .arg(holder)
            .arg(fencing)
            .arg(millis(left))
            .arg(millis(FLOOR_KEPT));
        let [mark, holder, fencing, left]: [String; 4] = self.run(&invocation).await?;
        self.mark.note(mark);
        if holder.is_empty() {
            return Ok(Answer::Fenced(number(&fencing)?));
        }
        let left = Duration::from_millis(number(&left)?);
        Ok(Answer::Held(lease(&holder, &fencing)?, left))
    }

    pub(crate) async fn holder(&self, name: &str) -> Result<Option<Lease>, CacheError> {
        let mut invocation = self.scripts.holder.key(self.key("lease", name));
        invocation.key(self.mark_key()).arg(Mark::candidate());
        let [mark, holder, fencing]: [String; 3] = self.run(&invocation).await?;
        self.mark.note(mark);
        if holder.is_empty() {
            return Ok(None);
        }
        lease(&holder, &fencing).map(Some)
    }

    pub(crate) async fn release(&self, name: &str, holder: InstanceId) -> Result<(), CacheError> {
        let mut invocation = self.scripts.release.key(self.key("lease", name));
        self.run(invocation.arg(holder.to_string())).await
    }

    /// A kind's index and its values; one slot, as one script touches both.
    fn kind<'a>(&self, script: &'a Script, name: &str) -> ScriptInvocation<'a> {
        let kind = name.split('/').next().unwrap_or_default();
        let mut invocation = script.key(self.key("present", kind));
        invocation.key(self.key("presence", kind));
        invocation
    }

    /// Whether there was room.
    pub(crate) async fn put_presence(
        &self,
        name: &str,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let mut invocation = self.kind(&self.scripts.appear, name);
        invocation
            .arg(name)
            .arg(value)
            .arg(millis(ttl))
            .arg(MAX_ENTRIES);
        self.run(&invocation).await
    }

    pub(crate) async fn presence(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, CacheError> {
        let mut invocation = self.kind(&self.scripts.present, prefix);
        invocation.arg(prefix).arg(LISTED);
        self.run(&invocation).await
    }

    pub(crate) async fn put(
        &self,
        name: &str,
        value: &[u8],
        ttl: Duration,
    ) -> Result<(), CacheError> {
        let mut invocation = self.scripts.put.key(self.key("value", name));
        self.run(invocation.arg(value).arg(millis(ttl))).await
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let invocation = self.scripts.get.key(self.key("value", name));
        self.run(&invocation).await
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), CacheError> {
        let invocation = self.scripts.remove.key(self.key("value", name));
        self.run(&invocation).await
    }

    pub(crate) async fn hits(&self, name: &str) -> Result<u32, CacheError> {
        let invocation = self.scripts.get.key(self.key("hits", name));
        let hits: Option<u32> = self.run(&invocation).await?;
        Ok(hits.unwrap_or(0))
    }

    pub(crate) async fn count(&self, name: &str, window: Duration) -> Result<Hits, CacheError> {
        let mut invocation = self.scripts.count.key(self.key("hits", name));
        let (count, left): (u32, u64) = self.run(invocation.arg(millis(window))).await?;
        Ok(Hits {
            count,
            resets_in: Duration::from_millis(left),
        })
    }
}
