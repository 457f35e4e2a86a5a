//! Facts of carrying, gathered for a second and written together. What is acknowledged to a viewer or a node is
//! in the database before it is acknowledged; what nobody waits for is kept, within bounds, while the database is
//! away.

use std::{sync::Arc, time::Duration};

use events::{
    AcceptedReceipt, AssignedNode, EdgeBytes, EndedSession, Fact, Nudge, ReportedDelivery,
    StartedSession,
};
use parking_lot::Mutex;
use runtime::{Shutdown, log::Seldom};
use storage::Database;
use tokio::sync::oneshot;
use types::{InstanceId, SessionId, StreamId};

use crate::Error;

/// How often what was gathered is written.
const EVERY: Duration = Duration::from_secs(1);
/// Parts of one event.
const CHUNK: usize = 2000;
/// Parts of a kind that wait; further ones are refused, or forgotten where nobody waits for them.
const MOST: usize = 200_000;

static SAID: Seldom = Seldom::new();

#[derive(Default)]
struct Waiting {
    started: Vec<StartedSession>,
    ended: Vec<EndedSession>,
    assigned: Vec<AssignedNode>,
    deliveries: Vec<ReportedDelivery>,
    edges: Vec<EdgeBytes>,
    receipts: Vec<AcceptedReceipt>,
    /// Who waits to hear that deliveries and receipts are kept.
    told: Vec<oneshot::Sender<bool>>,
}

/// Gathers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gather {
    by: InstanceId,
    database: Database,
    nudge: Nudge,
    waiting: Arc<Mutex<Waiting>>,
}

/// Resolves once what was given is kept: `false`, or an error, when it could not be.
pub(crate) type Kept = oneshot::Receiver<bool>;

fn push<T>(list: &mut Vec<T>, part: T, kind: &'static str) -> bool {
    if list.len() >= MOST {
        metrics::counter!("streamr_gathered_dropped_total", "kind" => kind).increment(1);
        return false;
    }
    list.push(part);
    true
}

fn facts<T>(parts: Vec<T>, fact: impl Fn(Vec<T>) -> Fact) -> Vec<Fact> {
    let mut parts = parts.into_iter().peekable();
    let mut facts = Vec::new();
    while parts.peek().is_some() {
        facts.push(fact(parts.by_ref().take(CHUNK).collect()));
    }
    facts
}

impl Gather {
    pub(crate) fn new(by: InstanceId, database: Database, nudge: Nudge) -> Self {
        Self {
            by,
            database,
            nudge,
            waiting: Arc::default(),
        }
    }

    pub(crate) fn started(&self, session: StartedSession) {
        push(&mut self.waiting.lock().started, session, "started");
    }

    pub(crate) fn ended(&self, session: EndedSession) {
        push(&mut self.waiting.lock().ended, session, "ended");
    }

    pub(crate) fn assigned(&self, assignment: AssignedNode) {
        push(&mut self.waiting.lock().assigned, assignment, "assigned");
    }

    pub(crate) fn edge(&self, bytes: EdgeBytes) {
        push(&mut self.waiting.lock().edges, bytes, "edge");
    }

    /// Takes what a node reported.
    pub(crate) fn deliveries(&self, deliveries: Vec<ReportedDelivery>) -> Kept {
        let (tell, kept) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let list = &mut waiting.deliveries;
        let all = deliveries
            .into_iter()
            .all(|delivery| push(list, delivery, "delivery"));
        if all {
            waiting.told.push(tell);
        }
        kept
    }

    /// Takes what a viewer signed.
    pub(crate) fn receipts(&self, receipts: Vec<AcceptedReceipt>) -> Kept {
        let (tell, kept) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let list = &mut waiting.receipts;
        let all = receipts
            .into_iter()
            .all(|receipt| push(list, receipt, "receipt"));
        if all {
            waiting.told.push(tell);
        }
        kept
    }

    /// Tells every coordinator that sessions are over.
    pub(crate) async fn revoked(&self, sessions: Vec<(StreamId, SessionId)>) -> Result<(), Error> {
        let facts = sessions.into_iter();
        let facts = facts.map(|(stream, session)| Fact::SessionRevoked { stream, session });
        self.database.gathered().record(facts.collect()).await?;
        self.nudge.nudge();
        Ok(())
    }

    /// Writes each second, and what is left at the end.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.cancelled() => {}
            }
            self.write().await;
        }
    }

    async fn write(&self) {
        let Waiting {
            started,
            ended,
            assigned,
            deliveries,
            edges,
            receipts,
            told,
        } = std::mem::take(&mut *self.waiting.lock());
        let by = self.by;
        let mut all = facts(started.clone(), |sessions| Fact::SessionStarted {
            by,
            sessions,
        });
        all.extend(facts(assigned.clone(), |assignments| Fact::NodesAssigned {
            by,
            assignments,
        }));
        all.extend(facts(deliveries, |deliveries| Fact::DeliveriesReported {
            by,
            deliveries,
            edges: Vec::new(),
        }));
        all.extend(facts(edges.clone(), |edges| Fact::DeliveriesReported {
            by,
            deliveries: Vec::new(),
            edges,
        }));
        all.extend(facts(receipts, |receipts| Fact::ReceiptsAccepted {
            by,
            receipts,
        }));
        all.extend(facts(ended.clone(), |sessions| Fact::SessionEnded {
            by,
            sessions,
        }));
        if all.is_empty() {
            return;
        }
        let written = self.database.gathered().record(all).await;
        let kept = written.is_ok();
        for waiter in told {
            // Whoever gave up waiting sends it again.
            let _ = waiter.send(kept);
        }
        match written {
            Ok(()) => self.nudge.nudge(),
            Err(error) => {
                metrics::counter!("streamr_gathered_failures_total").increment(1);
                if let Some(unsaid) = SAID.say() {
                    tracing::warn!(%error, unsaid, "facts of carrying can't be written; they wait");
                }
                self.put_back(started, assigned, edges, ended);
            }
        }
    }

    /// Nodes and viewers send theirs again; the rest is known here alone.
    fn put_back(
        &self,
        started: Vec<StartedSession>,
        assigned: Vec<AssignedNode>,
        edges: Vec<EdgeBytes>,
        ended: Vec<EndedSession>,
    ) {
        let mut waiting = self.waiting.lock();
        for part in started {
            push(&mut waiting.started, part, "started");
        }
        for part in assigned {
            push(&mut waiting.assigned, part, "assigned");
        }
        for part in edges {
            push(&mut waiting.edges, part, "edge");
        }
        for part in ended {
            push(&mut waiting.ended, part, "ended");
        }
    }
}
