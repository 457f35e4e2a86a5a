//! Answers to requests that named an idempotency key, so that a repeated one changes nothing.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use time::Duration;
use types::UserId;

use crate::{
    Database, StorageError,
    entity::idempotency_key,
    hash::{Sealed, SecretHash},
    outbox::now,
};

/// How long an answer is kept.
const KEPT: Duration = Duration::days(1);
/// A request that did not finish within this was cut off with its process: its key may be used again.
const ABANDONED: Duration = Duration::minutes(1);

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody used it: go on, and [`Idempotency::complete`] or [`Idempotency::release`] it.
    Fresh,
    /// The same request was answered so.
    Answered(Sealed),
    /// The same request is being answered.
    InFlight,
    /// Another request used it.
    Other,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Idempotency {
    database: Database,
}

impl Idempotency {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Takes `key` for the request with this hash.
    pub async fn claim(
        &self,
        user: UserId,
        key: &str,
        request: SecretHash,
    ) -> Result<Claim, StorageError> {
        use idempotency_key::Column;
        let row = idempotency_key::ActiveModel {
            scope: Set(user.to_string()),
            key: Set(key.to_owned()),
            request: Set(request.to_vec()),
            answer: Set(None),
            created_at: Set(now()),
        };
        let connection = self.database.connection();
        match idempotency_key::Entity::insert(row.clone())
            .exec_without_returning(connection)
            .await
        {
            Ok(_) => return Ok(Claim::Fresh),
            Err(error) if StorageError::is_unique_violation(&error) => {}
            Err(error) => return Err(error.into()),
        }
        let found = idempotency_key::Entity::find_by_id((user.to_string(), key.to_owned()))
            .one(connection)
            .await?;
        let Some(found) = found else {
            return Ok(Claim::InFlight);
        };
        if found.request != request.to_vec() {
            return Ok(Claim::Other);
        }
        if let Some(answer) = found.answer {
            return Ok(Claim::Answered(Sealed(answer)));
        }
        let taken_over = idempotency_key::Entity::update_many()
            .col_expr(Column::CreatedAt, Expr::value(now()))
            .filter(Column::Scope.eq(user.to_string()))
            .filter(Column::Key.eq(key))
            .filter(Column::Answer.is_null())
            .filter(Column::CreatedAt.lt(now() - ABANDONED))
            .exec(connection)
            .await?;
        Ok(if taken_over.rows_affected > 0 {
            Claim::Fresh
        } else {
            Claim::InFlight
        })
    }

    /// Keeps the answer.
    pub async fn complete(
        &self,
        user: UserId,
        key: &str,
        answer: Sealed,
    ) -> Result<(), StorageError> {
        use idempotency_key::Column;
        idempotency_key::Entity::update_many()
            .col_expr(Column::Answer, Expr::value(answer.0))
            .filter(Column::Scope.eq(user.to_string()))
            .filter(Column::Key.eq(key))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }

    /// Gives the key back: the request changed nothing.
    pub async fn release(&self, user: UserId, key: &str) -> Result<(), StorageError> {
        idempotency_key::Entity::delete_by_id((user.to_string(), key.to_owned()))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }

    /// Forgets old answers.
    pub async fn purge(&self) -> Result<(), StorageError> {
        idempotency_key::Entity::delete_many()
            .filter(idempotency_key::Column::CreatedAt.lt(now() - KEPT))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }
}
