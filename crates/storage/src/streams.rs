//! Streams and their keys.

use events::Fact;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Expr,
};
use time::OffsetDateTime;
use types::{BroadcastId, Delivery, Slug, StreamId, StreamState, UserId, Visibility};
use uuid::Uuid;

use crate::{
    Database, NewAudit, StorageError, audit,
    entity::{stream, stream_key},
    outbox::{now, record},
    stream_life::{Seen, about, bump_version, delete, find, stop, transition},
};

/// Streams that one user may have.
const MAX_OWNED: u64 = 100;

/// A stream key as kept: SHA-256 with the server's pepper, never the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Whose it is; streams made before there was an account belong to nobody until there is.
    pub owner: Option<UserId>,
    /// What it is about, for people.
    pub description: String,
    /// Who may watch.
    pub visibility: Visibility,
    /// Whether it starts as a rehearsal.
    pub testing: bool,
    /// The most viewers it had at once, this time or the last.
    pub peak_viewers: u32,
    /// When its owner or an admin last ended it.
    pub stopped_at: Option<OffsetDateTime>,
    /// Its time on air, now or the last.
    pub broadcast: Option<BroadcastId>,
    /// How viewers get it unless they choose.
    pub delivery: Delivery,
    /// Viewers are never paired with viewers.
    pub friends_only: bool,
}

impl Stream {
    /// Whether it plays with a playback token only.
    pub fn is_restricted(&self) -> bool {
        self.visibility == Visibility::Private || self.state == StreamState::Testing
    }
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
    /// Whose it is.
    pub owner: Option<UserId>,
    /// What it is about.
    pub description: String,
    /// Who may watch.
    pub visibility: Visibility,
    /// Whether it starts as a rehearsal.
    pub testing: bool,
}

impl NewStream {
    /// A public stream of nobody's yet.
    pub fn new(slug: Slug, title: String, key: KeyHash) -> Self {
        Self {
            slug,
            title,
            key,
            owner: None,
            description: String::new(),
            visibility: Visibility::Public,
            testing: false,
        }
    }
}

/// What is to be another; `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamChange {
    /// The title.
    pub title: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// Who may watch.
    pub visibility: Option<Visibility>,
    /// Whether it starts as a rehearsal.
    pub testing: Option<bool>,
    /// How viewers get it unless they choose.
    pub delivery: Option<Delivery>,
    /// Whether viewers are never paired with viewers.
    pub friends_only: Option<bool>,
}

/// Which streams a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What everybody may see.
    Public,
    /// One user's.
    OwnedBy(UserId),
    /// All.
    All,
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
            owner: row.owner_id.map(UserId::from_uuid),
            description: row.description,
            visibility: row.visibility.parse().map_err(|_| corrupt("visibility"))?,
            testing: row.testing,
            peak_viewers: row.peak_viewers.cast_unsigned(),
            stopped_at: row.stopped_at,
            broadcast: row.broadcast_id.map(BroadcastId::from_uuid),
            delivery: row.delivery.parse().map_err(|_| corrupt("delivery"))?,
            friends_only: row.friends_only,
        })
    }
}

impl Streams {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes a stream with its first key.
    pub async fn create(&self, new: NewStream, entry: NewAudit) -> Result<Stream, StorageError> {
        let id = StreamId::new();
        let transaction = self.database.begin().await?;
        if let Some(owner) = new.owner {
            let streams = stream::Entity::find()
                .filter(stream::Column::OwnerId.eq(owner.as_uuid()))
                .count(&transaction)
                .await?;
            if streams >= MAX_OWNED {
                return Err(StorageError::TooMany {
                    what: "streams",
                    most: MAX_OWNED,
                });
            }
        }
        let row = stream::ActiveModel {
            id: Set(id.as_uuid()),
            slug: Set(new.slug.to_string()),
            title: Set(new.title),
            state: Set(StreamState::Ready.to_string()),
            version: Set(1),
            created_at: Set(now()),
            started_at: Set(None),
            ended_at: Set(None),
            owner_id: Set(new.owner.map(UserId::as_uuid)),
            description: Set(new.description),
            visibility: Set(new.visibility.to_string()),
            testing: Set(new.testing),
            peak_viewers: Set(0),
            stopped_at: Set(None),
            broadcast_id: Set(None),
            delivery: Set(Delivery::LowLatency.to_string()),
            friends_only: Set(true),
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
        audit::write(&transaction, about(entry, id)).await?;
        let stream = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// Changes what a stream says of itself. `version`: only if it is still the current one.
    pub async fn change(
        &self,
        id: StreamId,
        change: StreamChange,
        version: Option<u64>,
        entry: Option<NewAudit>,
    ) -> Result<Stream, StorageError> {
        use stream::Column;
        let transaction = self.database.begin().await?;
        let after = bump_version(&transaction, id).await?;
        if version.is_some_and(|version| version + 1 != after) {
            return Err(StorageError::Changed(id));
        }
        let mut update = stream::Entity::update_many()
            .col_expr(Column::Version, Expr::col(Column::Version))
            .filter(Column::Id.eq(id.as_uuid()));
        if let Some(title) = change.title {
            update = update.col_expr(Column::Title, Expr::value(title));
        }
        if let Some(description) = change.description {
            update = update.col_expr(Column::Description, Expr::value(description));
        }
        if let Some(visibility) = change.visibility {
            update = update.col_expr(Column::Visibility, Expr::value(visibility.as_str()));
        }
        if let Some(testing) = change.testing {
            update = update.col_expr(Column::Testing, Expr::value(testing));
        }
        if let Some(delivery) = change.delivery {
            update = update.col_expr(Column::Delivery, Expr::value(delivery.as_str()));
        }
        if let Some(friends_only) = change.friends_only {
            update = update.col_expr(Column::FriendsOnly, Expr::value(friends_only));
        }
        update.exec(&transaction).await?;
        if let Some(entry) = entry {
            audit::write(&transaction, about(entry, id)).await?;
        }
        record(&transaction, after, Fact::StreamChanged { stream: id }).await?;
        let stream = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// Ends a stream that is on air, whoever publishes it; `seen` is what it was.
    pub async fn stop(
        &self,
        id: StreamId,
        seen: Seen,
        entry: NewAudit,
    ) -> Result<Stream, StorageError> {
        let transaction = self.database.begin().await?;
        stop(&transaction, id, seen).await?;
        audit::write(&transaction, about(entry, id)).await?;
        let stream = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// Deletes a stream that is not on air, with its keys and links.
    pub async fn delete(&self, id: StreamId, entry: NewAudit) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        bump_version(&transaction, id).await?;
        let stream = find(&transaction, id).await?;
        if stream.state.is_on_air() {
            return Err(StorageError::OnAir(stream.slug));
        }
        delete(&transaction, stream).await?;
        audit::write(&transaction, about(entry, id)).await?;
        Ok(transaction.commit().await?)
    }

    /// Keeps the most viewers the stream had at once.
    pub async fn set_peak(&self, id: StreamId, viewers: u32) -> Result<(), StorageError> {
        stream::Entity::update_many()
            .col_expr(
                stream::Column::PeakViewers,
                Expr::value(i32::try_from(viewers).unwrap_or(i32::MAX)),
            )
            .filter(stream::Column::Id.eq(id.as_uuid()))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }

    /// Replaces the stream's keys by one; the old ones are worth nothing from the commit on.
    pub async fn replace_key(
        &self,
        id: StreamId,
        key: KeyHash,
        entry: NewAudit,
    ) -> Result<Stream, StorageError> {
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
        audit::write(&transaction, about(entry, id)).await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// Moves the stream on in its life and records the fact. `seen` is what the broadcast was that this
    /// ends, if it ends one. Answers the stream after the move.
    pub async fn transition(
        &self,
        id: StreamId,
        to: StreamState,
        seen: Seen,
        entry: Option<NewAudit>,
    ) -> Result<Stream, StorageError> {
        let transaction = self.database.begin().await?;
        transition(&transaction, id, to, seen).await?;
        if let Some(entry) = entry {
            audit::write(&transaction, about(entry, id)).await?;
        }
        let stream = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(stream)
    }

    /// A publisher came: the stream is live, or rehearsed if that is what it starts as.
    pub async fn start(&self, id: StreamId) -> Result<Stream, StorageError> {
        let transaction = self.database.begin().await?;
        let stream = find(&transaction, id).await?;
        let to = if stream.testing {
            StreamState::Testing
        } else {
            StreamState::Live
        };
        transition(&transaction, id, to, Seen::default()).await?;
        let stream = find(&transaction, id).await?;
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
        scope: Scope,
        state: Option<StreamState>,
        after: Option<StreamId>,
        limit: u32,
    ) -> Result<Vec<Stream>, StorageError> {
        use stream::Column;
        let mut query = stream::Entity::find()
            .order_by_asc(Column::Id)
            .limit(u64::from(limit));
        query = match scope {
            Scope::All => query,
            Scope::OwnedBy(owner) => query.filter(Column::OwnerId.eq(owner.as_uuid())),
            Scope::Public => query
                .filter(Column::Visibility.eq(Visibility::Public.as_str()))
                .filter(Column::State.is_not_in([
                    StreamState::Testing.as_str(),
                    StreamState::Archived.as_str(),
                ])),
        };
        if let Some(state) = state {
            query = query.filter(Column::State.eq(state.as_str()));
        }
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(after.as_uuid()));
        }
        let rows = query.all(self.database.connection()).await?;
        rows.into_iter().map(Stream::try_from).collect()
    }

    /// Streams that are on air: live, or rehearsed.
    pub async fn on_air(&self) -> Result<Vec<Stream>, StorageError> {
        let states = StreamState::ALL
            .into_iter()
            .filter(|state| state.is_on_air());
        let rows = stream::Entity::find()
            .filter(stream::Column::State.is_in(states.map(StreamState::as_str)))
            .order_by_asc(stream::Column::Id)
            .all(self.database.connection())
            .await?;
        rows.into_iter().map(Stream::try_from).collect()
    }

    /// How many streams each of these users has.
    pub async fn owned(&self, owners: &[UserId]) -> Result<Vec<(UserId, u64)>, StorageError> {
        let rows: Vec<(Option<uuid::Uuid>, i64)> = stream::Entity::find()
            .select_only()
            .column(stream::Column::OwnerId)
            .column_as(stream::Column::Id.count(), "streams")
            .filter(stream::Column::OwnerId.is_in(owners.iter().map(|id| id.as_uuid())))
            .group_by(stream::Column::OwnerId)
            .into_tuple()
            .all(self.database.connection())
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(owner, streams)| {
                Some((UserId::from_uuid(owner?), streams.cast_unsigned()))
            })
            .collect())
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
    transaction: &impl ConnectionTrait,
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
