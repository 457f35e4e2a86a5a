//! Who carried what: the facts as they come from the bus, what counts of them, and roll-ups.
//!
//! Facts are identified by themselves, so that telling one twice changes nothing. What counts is decided by
//! `economy` and written in one transaction with the mark that it was decided. All tables here are
//! `stats-collector`'s; others read.

mod facts;
mod read;
mod reconcile;
mod rollup;
mod rows;

use events::Event;
use types::{ByteCount, NodeId};

pub use read::{Delivered, DeliveredBy, Health, MinuteOfStream, SupportedDay, SupportedStream};

use crate::{Database, StorageError, inbox};

/// The repository.
#[derive(Debug, Clone)]
pub struct Carrying {
    database: Database,
}

/// What a node carried of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Which.
    pub node: NodeId,
    /// Verified.
    pub bytes: ByteCount,
}

impl Carrying {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes the facts of a batch of events for `consumer`, all in one transaction; those it wrote before change
    /// nothing. Answers how many events took effect.
    pub async fn apply(&self, consumer: &str, events: &[Event]) -> Result<usize, StorageError> {
        let transaction = self.database.begin().await?;
        let fresh = inbox::fresh(&transaction, consumer, events.iter().map(|event| event.id));
        let mut fresh = fresh.await?;
        let mut batch = facts::Batch::default();
        let mut applied = 0;
        for event in events {
            if fresh.remove(&event.id) {
                batch.add(&event.fact);
                applied += 1;
            }
        }
        batch.write(&transaction).await?;
        transaction.commit().await?;
        Ok(applied)
    }
}
