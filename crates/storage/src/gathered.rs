//! Facts that a coordinator gathers over some seconds: written to the outbox as they are, since no table of
//! the coordinator's changes with them.

use events::Fact;
use sea_orm::EntityTrait;

use crate::{Database, StorageError, outbox};

/// Writes gathered facts.
#[derive(Debug, Clone)]
pub struct Gathered {
    database: Database,
}

impl Gathered {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes facts, all or none. Versions rise with the time.
    pub async fn record(&self, facts: Vec<Fact>) -> Result<(), StorageError> {
        if facts.is_empty() {
            return Ok(());
        }
        let rows = outbox::rows(facts);
        crate::entity::outbox::Entity::insert_many(rows)
            .exec_without_returning(self.database.connection())
            .await?;
        Ok(())
    }
}
