//! Share links and the playback sessions that were opened on streams which aren't public.

use events::Fact;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Expr,
};
use time::{Duration, OffsetDateTime};
use types::{SessionId, ShareLinkId, StreamId, UserId};

use crate::{
    Database, NewAudit, StorageError, audit,
    entity::{playback_session, share_link},
    hash::SecretHash,
    outbox::{now, record},
    stream_life::bump_version,
};

/// Share links that one stream may have.
const MAX_LINKS: u64 = 100;
/// Sessions of one stream that are kept; the oldest make room.
const MAX_SESSIONS: u64 = 10_000;
/// How long sessions are kept.
const SESSIONS_KEPT: Duration = Duration::days(2);

/// A share link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareLink {
    /// Its id.
    pub id: ShareLinkId,
    /// Of this stream.
    pub stream: StreamId,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last opened a session.
    pub last_used_at: Option<OffsetDateTime>,
}

/// A playback session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybackSession {
    /// Its id.
    pub id: SessionId,
    /// The share link it was opened with.
    pub link: Option<ShareLinkId>,
    /// The user who opened it.
    pub user: Option<UserId>,
    /// When.
    pub issued_at: OffsetDateTime,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Shares {
    database: Database,
}

impl From<share_link::Model> for ShareLink {
    fn from(row: share_link::Model) -> Self {
        Self {
            id: ShareLinkId::from_uuid(row.id),
            stream: StreamId::from_uuid(row.stream_id),
            label: row.label,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        }
    }
}

impl Shares {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes a share link.
    pub async fn create(
        &self,
        stream: StreamId,
        label: String,
        hash: SecretHash,
        entry: NewAudit,
    ) -> Result<ShareLink, StorageError> {
        let transaction = self.database.begin().await?;
        bump_version(&transaction, stream).await?;
        let links = share_link::Entity::find()
            .filter(share_link::Column::StreamId.eq(stream.as_uuid()))
            .filter(share_link::Column::RevokedAt.is_null())
            .count(&transaction)
            .await?;
        if links >= MAX_LINKS {
            return Err(StorageError::TooMany {
                what: "share links",
                most: MAX_LINKS,
            });
        }
        let link = ShareLink {
            id: ShareLinkId::new(),
            stream,
            label,
            created_at: now(),
            last_used_at: None,
        };
        let row = share_link::ActiveModel {
            id: Set(link.id.as_uuid()),
            stream_id: Set(stream.as_uuid()),
            hash: Set(hash.to_vec()),
            label: Set(link.label.clone()),
            created_at: Set(link.created_at),
            last_used_at: Set(None),
            revoked_at: Set(None),
        };
        share_link::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(link)
    }

    /// The link that this secret opens, unless it was revoked.
    pub async fn by_secret(&self, hash: SecretHash) -> Result<Option<ShareLink>, StorageError> {
        let row = share_link::Entity::find()
            .filter(share_link::Column::Hash.eq(hash.to_vec()))
            .filter(share_link::Column::RevokedAt.is_null())
            .one(self.database.connection())
            .await?;
        Ok(row.map(ShareLink::from))
    }

    /// A stream's links, newest first.
    pub async fn of(&self, stream: StreamId) -> Result<Vec<ShareLink>, StorageError> {
        let rows = share_link::Entity::find()
            .filter(share_link::Column::StreamId.eq(stream.as_uuid()))
            .filter(share_link::Column::RevokedAt.is_null())
            .order_by_desc(share_link::Column::Id)
            .all(self.database.connection())
            .await?;
        Ok(rows.into_iter().map(ShareLink::from).collect())
    }

    /// Revokes a link and every session it opened. `false`: the stream has no such link.
    pub async fn revoke(
        &self,
        stream: StreamId,
        id: ShareLinkId,
        entry: NewAudit,
    ) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        let revoked = share_link::Entity::update_many()
            .col_expr(share_link::Column::RevokedAt, Expr::value(now()))
            .filter(share_link::Column::Id.eq(id.as_uuid()))
            .filter(share_link::Column::StreamId.eq(stream.as_uuid()))
            .filter(share_link::Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        if revoked.rows_affected == 0 {
            return Ok(false);
        }
        let sessions = playback_session::Entity::find()
            .filter(playback_session::Column::LinkId.eq(id.as_uuid()))
            .filter(playback_session::Column::RevokedAt.is_null())
            .all(&transaction)
            .await?;
        for session in sessions {
            revoke_one(&transaction, stream, SessionId::from_uuid(session.id)).await?;
        }
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Records a session that is about to be opened.
    pub async fn open(
        &self,
        stream: StreamId,
        session: &PlaybackSession,
    ) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        let beyond = playback_session::Entity::find()
            .filter(playback_session::Column::StreamId.eq(stream.as_uuid()))
            .order_by_desc(playback_session::Column::Id)
            .offset(MAX_SESSIONS - 1)
            .limit(100)
            .all(&transaction)
            .await?;
        if !beyond.is_empty() {
            playback_session::Entity::delete_many()
                .filter(playback_session::Column::Id.is_in(beyond.into_iter().map(|row| row.id)))
                .exec(&transaction)
                .await?;
        }
        let row = playback_session::ActiveModel {
            id: Set(session.id.as_uuid()),
            stream_id: Set(stream.as_uuid()),
            link_id: Set(session.link.map(ShareLinkId::as_uuid)),
            user_id: Set(session.user.map(UserId::as_uuid)),
            issued_at: Set(session.issued_at),
            revoked_at: Set(None),
        };
        playback_session::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        if let Some(link) = session.link {
            share_link::Entity::update_many()
                .col_expr(
                    share_link::Column::LastUsedAt,
                    Expr::value(session.issued_at),
                )
                .filter(share_link::Column::Id.eq(link.as_uuid()))
                .exec(&transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// A stream's sessions, newest first.
    pub async fn sessions(
        &self,
        stream: StreamId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<PlaybackSession>, StorageError> {
        let mut query = playback_session::Entity::find()
            .filter(playback_session::Column::StreamId.eq(stream.as_uuid()))
            .filter(playback_session::Column::RevokedAt.is_null())
            .order_by_desc(playback_session::Column::Id)
            .limit(u64::from(limit));
        if let Some(after) = after {
            query = query.filter(playback_session::Column::Id.lt(after.as_uuid()));
        }
        let rows = query.all(self.database.connection()).await?;
        Ok(rows
            .into_iter()
            .map(|row| PlaybackSession {
                id: SessionId::from_uuid(row.id),
                link: row.link_id.map(ShareLinkId::from_uuid),
                user: row.user_id.map(UserId::from_uuid),
                issued_at: row.issued_at,
            })
            .collect())
    }

    /// The sessions of a stream that were revoked and may still be open somewhere.
    pub async fn revoked(&self, stream: StreamId) -> Result<Vec<SessionId>, StorageError> {
        let rows = playback_session::Entity::find()
            .filter(playback_session::Column::StreamId.eq(stream.as_uuid()))
            .filter(playback_session::Column::RevokedAt.is_not_null())
            .order_by_desc(playback_session::Column::Id)
            .limit(MAX_SESSIONS)
            .all(self.database.connection())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| SessionId::from_uuid(row.id))
            .collect())
    }

    /// The sessions that were revoked within `age`, of any stream.
    pub async fn revoked_within(
        &self,
        age: std::time::Duration,
    ) -> Result<Vec<(StreamId, SessionId)>, StorageError> {
        let rows = playback_session::Entity::find()
            .filter(playback_session::Column::RevokedAt.gt(now() - age))
            .limit(MAX_SESSIONS)
            .all(self.database.connection())
            .await?;
        let ids = rows.into_iter().map(|row| {
            let stream = StreamId::from_uuid(row.stream_id);
            (stream, SessionId::from_uuid(row.id))
        });
        Ok(ids.collect())
    }

    /// Revokes a session. `false`: the stream has no such session.
    pub async fn revoke_session(
        &self,
        stream: StreamId,
        session: SessionId,
        entry: NewAudit,
    ) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        if !revoke_one(&transaction, stream, session).await? {
            return Ok(false);
        }
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets sessions that are long over.
    pub async fn purge(&self) -> Result<(), StorageError> {
        playback_session::Entity::delete_many()
            .filter(playback_session::Column::IssuedAt.lt(now() - SESSIONS_KEPT))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }
}

async fn revoke_one(
    connection: &impl ConnectionTrait,
    stream: StreamId,
    session: SessionId,
) -> Result<bool, StorageError> {
    let revoked = playback_session::Entity::update_many()
        .col_expr(playback_session::Column::RevokedAt, Expr::value(now()))
        .filter(playback_session::Column::Id.eq(session.as_uuid()))
        .filter(playback_session::Column::StreamId.eq(stream.as_uuid()))
        .filter(playback_session::Column::RevokedAt.is_null())
        .exec(connection)
        .await?;
    if revoked.rows_affected == 0 {
        return Ok(false);
    }
    let version = bump_version(connection, stream).await?;
    record(
        connection,
        version,
        Fact::SessionRevoked { stream, session },
    )
    .await?;
    Ok(true)
}
