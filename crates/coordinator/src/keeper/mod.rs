//! Which coordinator keeps the swarm: one at a time, by a lease; the others hand through to it.
//!
//! Owns the lease and what follows from it. A coordinator whose database is its own keeps the swarm at once and for
//! good. While the database is away whoever keeps it goes on: nobody else can take it.

mod inside;
mod paths;
mod through;

use std::{sync::Arc, time::Duration};

use runtime::Shutdown;
use storage::{Database, StorageError};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use types::InstanceId;

pub(crate) use inside::{Inside, take};
pub(crate) use through::{Through, hand};

use crate::{Error, swarm::Swarm};

/// The lease.
const LEASE: &str = "swarm";
/// How long it lasts: after so long without a word of the keeper, another keeps the swarm.
const TTL: Duration = Duration::from_secs(4);
/// How often the keeper renews it.
const RENEWED: Duration = Duration::from_secs(1);
/// How often the others look whether it is free.
const LOOKED: Duration = Duration::from_millis(400);
/// How long the database may take.
const ASKED: Duration = Duration::from_secs(2);

/// Where the swarm is kept, as far as is known.
#[derive(Debug, Clone)]
pub(crate) enum Keeping {
    /// Not known yet.
    Nowhere,
    /// In this process.
    Here,
    /// In another.
    There(There),
}

/// Another coordinator that keeps the swarm.
#[derive(Debug, Clone)]
pub(crate) struct There {
    instance: InstanceId,
    /// Its internal address.
    address: Arc<str>,
    /// What is handed through to it ends with this.
    life: Shutdown,
}

/// Who this coordinator is to the others.
pub(crate) struct Own {
    pub(crate) instance: InstanceId,
    /// Its internal address.
    pub(crate) address: String,
}

/// Finds out who keeps the swarm. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    own: Own,
    database: Database,
    swarm: Swarm,
    keeping: watch::Sender<Keeping>,
}

/// What the database said.
enum Asked {
    Ours,
    Theirs(InstanceId, String),
    /// It ran out this moment.
    Nobodys,
}

impl Keeper {
    pub(crate) fn new(own: Own, database: Database, swarm: Swarm) -> Self {
        let keeping = watch::Sender::new(Keeping::Nowhere);
        Self {
            inner: Arc::new(Inner {
                own,
                database,
                swarm,
                keeping,
            }),
        }
    }

    /// Where the swarm is kept, and what follows.
    pub(crate) fn watch(&self) -> watch::Receiver<Keeping> {
        self.inner.keeping.subscribe()
    }

    /// Whether it is kept here.
    pub(crate) fn is_here(&self) -> bool {
        matches!(*self.inner.keeping.borrow(), Keeping::Here)
    }

    /// Keeps the swarm whenever it may, until `shutdown`.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        metrics::gauge!("streamr_swarm_keeper").set(0.0);
        if !self.inner.database.is_shared() {
            self.here();
            shutdown.cancelled().await;
            return;
        }
        let mut failing = false;
        while !shutdown.is_cancelled() {
            let asked = match timeout(ASKED, self.ask()).await {
                Ok(asked) => asked.map_err(Error::from),
                Err(_) => Err(Error::TooSlow("the database")),
            };
            note(asked.as_ref().err(), &mut failing);
            match asked {
                Ok(Asked::Ours) => self.here(),
                Ok(Asked::Theirs(instance, address)) => self.there(instance, &address, &shutdown),
                // As it was: the next look tells, or the database is away and nobody can tell.
                Ok(Asked::Nobodys) | Err(_) => {}
            }
            let pause = if self.is_here() { RENEWED } else { LOOKED };
            tokio::select! {
                () = sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.resign().await;
    }

    async fn ask(&self) -> Result<Asked, StorageError> {
        let Inner { own, database, .. } = &*self.inner;
        let leases = database.leases();
        let address = &own.address;
        if leases.take_at(LEASE, own.instance, address, TTL).await? {
            return Ok(Asked::Ours);
        }
        let holder = leases.holder(LEASE).await?;
        Ok(holder.map_or(Asked::Nobodys, |holder| {
            Asked::Theirs(holder.instance, holder.address.unwrap_or_default())
        }))
    }

    fn here(&self) {
        if self.is_here() {
            return;
        }
        self.inner.swarm.take_over();
        self.replace(Keeping::Here);
        metrics::gauge!("streamr_swarm_keeper").set(1.0);
        tracing::info!("keeps the swarm");
    }

    fn there(&self, instance: InstanceId, address: &str, shutdown: &Shutdown) {
        let known = match &*self.inner.keeping.borrow() {
            Keeping::There(there) => there.instance == instance && &*there.address == address,
            Keeping::Here | Keeping::Nowhere => false,
        };
        if known {
            return;
        }
        let was_here = self.is_here();
        self.replace(Keeping::There(There {
            instance,
            address: address.into(),
            life: shutdown.child(),
        }));
        if was_here {
            self.let_go();
            metrics::counter!("streamr_swarm_lost_total").increment(1);
            tracing::warn!(
                address,
                "another coordinator keeps the swarm; its nodes and pages are sent there"
            );
        } else {
            tracing::info!(address, "another coordinator keeps the swarm");
        }
    }

    /// What was handed through to who kept it before comes back, and is handed to who keeps it now.
    fn replace(&self, keeping: Keeping) {
        if let Keeping::There(before) = self.inner.keeping.send_replace(keeping) {
            before.life.cancel();
        }
    }

    fn let_go(&self) {
        metrics::gauge!("streamr_swarm_keeper").set(0.0);
        self.inner.swarm.let_go();
    }

    /// Another may keep it at once.
    async fn resign(&self) {
        if !self.is_here() {
            return;
        }
        self.replace(Keeping::Nowhere);
        self.let_go();
        let leases = self.inner.database.leases();
        let released = timeout(ASKED, leases.release(LEASE, self.inner.own.instance)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::debug!("the swarm's lease was not given back; it runs out");
        }
    }
}

/// Says when the lease can't be asked for any more, and when it can again; while the database does not answer, that
/// was said.
fn note(error: Option<&Error>, failing: &mut bool) {
    let before = std::mem::replace(failing, error.is_some());
    match error {
        None if before => tracing::info!("the swarm's lease can be asked for again"),
        None => {}
        Some(error) => {
            metrics::counter!("streamr_swarm_lease_failures_total").increment(1);
            if before || error.is_told() {
                tracing::debug!(%error, "the swarm's lease can't be asked for; all stays as it is");
            } else {
                tracing::warn!(%error, "the swarm's lease can't be asked for; all stays as it is");
            }
        }
    }
}
