//! Streams and their keys.

use events::Fact;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use time::OffsetDateTime;
use types::{Slug, StreamId, StreamState};
use uuid::Uuid;

use crate::{
    Database, StorageError,
    entity::{stream, stream_key},
    outbox::{now, record},
};

/// A stream key as kept: SHA-256 with the server's pepper, never the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(pub [u8; 32]);

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its id.
    pub id: StreamId,
    /// Its name in URLs; never changes.
    pub slug: Slug,
    /// Its title, for people.
    pub title: String,
    /// Where it is in its life.
    pub state: StreamState,
    /// Rises by one with each change.
    pub version: u64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last went live.
    pub started_at: Option<OffsetDateTime>,
    /// When it last ended.
    pub ended_at: Option<OffsetDateTime>,
}

/// A stream to be made.
#[derive(Debug, Clone)]
pub struct NewStream {
    /// Its name in URLs.
    pub slug: Slug,
    /// Its title.
    pub title: String,
    /// Its first key.
    pub key: KeyHash,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Streams {
    database: Database,
}

fn corrupt(column: &'static str) -> StorageError {
    StorageError::Corrupt {
        table: "streams",
        column,
    }
}

impl TryFrom<stream::Model> for Stream {
    type Error = StorageError;

    fn try_from(row: stream::Model) -> Result<Self, StorageError> {
        Ok(Self {
            id: StreamId::from_uuid(row.id),
            slug: row.slug.parse().map_err(|_| corrupt("slug"))?,
            title: row.title,
            state: row.state.parse().map_err(|_| corrupt("state"))?,
            version: u64::try_from(row.version).map_err(|_| corrupt("version"))?,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
        })
    }
}

impl Streams {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes a stream with its first key.
    pub async fn create(&self, new: NewStream) -> Result<Stream, StorageError> {
        let id = StreamId::new();
        let transaction = self.database.begin().await?;
        let row = stream::ActiveModel {
            id: Set(id.as_uuid()),
            slug: Set(new.slug.to_string()),
            title: Set(new.title),
            state: Set(StreamState::Ready.to_string()),
            version: Set(1),
            created_at: Set(now()),
            started_at: Set(None),
            ended_at: Set(None),
        };
        if let Err(error) = stream::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await
        {
            let taken = StorageError::is_unique_violation(&error);
            return Err(if taken {
                StorageError::SlugTaken(new.slug)
            } else {
                error.into()
            });
        }
        insert_key(&transaction, id, new.key).await?;
        let stream = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// Replaces the stream's keys by one; the old ones are worth nothing from the commit on.
    pub async fn replace_key(&self, id: StreamId, key: KeyHash) -> Result<Stream, StorageError> {
        let transaction = self.database.begin().await?;
        bump_version(&transaction, id).await?;
        stream_key::Entity::delete_many()
            .filter(stream_key::Column::StreamId.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        insert_key(&transaction, id, key).await?;
        let stream = find(&transaction, id).await?;
        record(
            &transaction,
            stream.version,
            Fact::StreamKeyChanged { stream: id },
        )
        .await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// Moves the stream on in its life and records the fact. Answers the stream after the move.
    pub async fn transition(&self, id: StreamId, to: StreamState) -> Result<Stream, StorageError> {
        let transaction = self.database.begin().await?;
        bump_version(&transaction, id).await?;
        let mut stream = find(&transaction, id).await?;
        stream.state = stream.state.transition(to)?;
        let at = now();
        let mut update = stream::Entity::update_many()
            .col_expr(stream::Column::State, Expr::value(to.as_str()))
            .filter(stream::Column::Id.eq(id.as_uuid()));
        let slug = stream.slug.clone();
        let fact = match to {
            StreamState::Live | StreamState::Testing => {
                update = update.col_expr(stream::Column::StartedAt, Expr::value(at));
                stream.started_at = Some(at);
                Fact::StreamStarted { stream: id, slug }
            }
            StreamState::Ready | StreamState::Offline | StreamState::Archived => {
                update = update.col_expr(stream::Column::EndedAt, Expr::value(at));
                stream.ended_at = Some(at);
                Fact::StreamEnded { stream: id, slug }
            }
        };
        update.exec(&transaction).await?;
        record(&transaction, stream.version, fact).await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// The stream with this id.
    pub async fn by_id(&self, id: StreamId) -> Result<Option<Stream>, StorageError> {
        let row = stream::Entity::find_by_id(id.as_uuid())
            .one(self.database.connection())
            .await?;
        row.map(Stream::try_from).transpose()
    }

    /// The stream with this name.
    pub async fn by_slug(&self, slug: &Slug) -> Result<Option<Stream>, StorageError> {
        let row = stream::Entity::find()
            .filter(stream::Column::Slug.eq(slug.as_str()))
            .one(self.database.connection())
            .await?;
        row.map(Stream::try_from).transpose()
    }

    /// The stream this key may publish to.
    pub async fn by_key(&self, key: KeyHash) -> Result<Option<Stream>, StorageError> {
        let found = stream_key::Entity::find()
            .filter(stream_key::Column::Hash.eq(key.0.to_vec()))
            .one(self.database.connection())
            .await?;
        match found {
            Some(row) => self.by_id(StreamId::from_uuid(row.stream_id)).await,
            None => Ok(None),
        }
    }

    /// Streams in the order of their making, `limit` at most, after `after`.
    pub async fn list(
        &self,
        after: Option<StreamId>,
        limit: u32,
    ) -> Result<Vec<Stream>, StorageError> {
        let mut query = stream::Entity::find()
            .order_by_asc(stream::Column::Id)
            .limit(u64::from(limit));
        if let Some(after) = after {
            query = query.filter(stream::Column::Id.gt(after.as_uuid()));
        }
        let rows = query.all(self.database.connection()).await?;
        rows.into_iter().map(Stream::try_from).collect()
    }

    /// Streams in `state`.
    pub async fn in_state(&self, state: StreamState) -> Result<Vec<Stream>, StorageError> {
        let rows = stream::Entity::find()
            .filter(stream::Column::State.eq(state.as_str()))
            .order_by_asc(stream::Column::Id)
            .all(self.database.connection())
            .await?;
        rows.into_iter().map(Stream::try_from).collect()
    }

    /// When each of `streams` got its newest key, Unix time in microseconds.
    pub async fn key_times(
        &self,
        streams: &[StreamId],
    ) -> Result<Vec<(StreamId, i64)>, StorageError> {
        let ids = streams.iter().map(|id| id.as_uuid());
        let rows = stream_key::Entity::find()
            .filter(stream_key::Column::StreamId.is_in(ids))
            .all(self.database.connection())
            .await?;
        let micros = |at: OffsetDateTime| (at.unix_timestamp_nanos() / 1000) as i64;
        Ok(rows
            .into_iter()
            .map(|row| (StreamId::from_uuid(row.stream_id), micros(row.created_at)))
            .collect())
    }

    /// How many streams there are.
    pub async fn count(&self) -> Result<u64, StorageError> {
        Ok(stream::Entity::find()
            .count(self.database.connection())
            .await?)
    }
}

async fn insert_key(
    transaction: &DatabaseTransaction,
    id: StreamId,
    key: KeyHash,
) -> Result<(), StorageError> {
    let row = stream_key::ActiveModel {
        id: Set(Uuid::now_v7()),
        stream_id: Set(id.as_uuid()),
        hash: Set(key.0.to_vec()),
        created_at: Set(now()),
    };
    match stream_key::Entity::insert(row)
        .exec_without_returning(transaction)
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if StorageError::is_unique_violation(&error) => Err(StorageError::KeyTaken),
        Err(error) => Err(error.into()),
    }
}

/// Raises the version, which also locks the row until the transaction ends.
async fn bump_version(connection: &impl ConnectionTrait, id: StreamId) -> Result<(), StorageError> {
    let updated = stream::Entity::update_many()
        .col_expr(
            stream::Column::Version,
            Expr::col(stream::Column::Version).add(1),
        )
        .filter(stream::Column::Id.eq(id.as_uuid()))
        .exec(connection)
        .await?;
    if updated.rows_affected == 0 {
        Err(StorageError::NoStream(id))
    } else {
        Ok(())
    }
}

async fn find(connection: &impl ConnectionTrait, id: StreamId) -> Result<Stream, StorageError> {
    let row = stream::Entity::find_by_id(id.as_uuid())
        .one(connection)
        .await?;
    row.ok_or(StorageError::NoStream(id))?.try_into()
}
