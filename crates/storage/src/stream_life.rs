//! What happens to streams inside transactions: their life, whoever begins the transaction.

use events::{Broadcast, Fact};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, sea_query::Expr};
use types::{BroadcastId, StreamId, StreamState, UserId};

use crate::{
    NewAudit, StorageError, Stream,
    entity::stream,
    outbox::{micros, now, record},
};

/// What was seen of a broadcast when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// The most viewers at once.
    pub peak_viewers: u32,
    /// Playback sessions opened.
    pub sessions: u64,
}

/// Raises the version, which also locks the row until the transaction ends. Answers the new one.
pub(crate) async fn bump_version(
    connection: &impl ConnectionTrait,
    id: StreamId,
) -> Result<u64, StorageError> {
    let updated = stream::Entity::update_many()
        .col_expr(
            stream::Column::Version,
            Expr::col(stream::Column::Version).add(1),
        )
        .filter(stream::Column::Id.eq(id.as_uuid()))
        .exec(connection)
        .await?;
    if updated.rows_affected == 0 {
        return Err(StorageError::NoStream(id));
    }
    Ok(find(connection, id).await?.version)
}

/// The entry, about this stream.
pub(crate) fn about(mut entry: NewAudit, id: StreamId) -> NewAudit {
    entry.subject = Some(format!("stream/{id}"));
    entry
}

pub(crate) async fn transition(
    connection: &impl ConnectionTrait,
    id: StreamId,
    to: StreamState,
    seen: Seen,
) -> Result<(), StorageError> {
    let version = bump_version(connection, id).await?;
    let stream = find(connection, id).await?;
    stream.state.transition(to)?;
    let at = now();
    let mut update = stream::Entity::update_many()
        .col_expr(stream::Column::State, Expr::value(to.as_str()))
        .filter(stream::Column::Id.eq(id.as_uuid()));
    let slug = stream.slug;
    let fact = match (stream.state, to) {
        // The rehearsal goes on before everybody's eyes.
        (StreamState::Testing, StreamState::Live) | (_, StreamState::Archived) => {
            Fact::StreamChanged { stream: id }
        }
        (_, StreamState::Live | StreamState::Testing) => {
            let broadcast = BroadcastId::new();
            update = update
                .col_expr(stream::Column::StartedAt, Expr::value(at))
                .col_expr(
                    stream::Column::BroadcastId,
                    Expr::value(broadcast.as_uuid()),
                );
            Fact::StreamStarted {
                stream: id,
                slug,
                broadcast,
            }
        }
        (_, StreamState::Ready | StreamState::Offline) => {
            let peak = i32::try_from(seen.peak_viewers).unwrap_or(i32::MAX);
            update = update
                .col_expr(stream::Column::EndedAt, Expr::value(at))
                .col_expr(stream::Column::PeakViewers, Expr::value(peak));
            let broadcast = Broadcast {
                // On air since before broadcasts had ids.
                id: stream.broadcast.unwrap_or_else(BroadcastId::new),
                started_us: micros(stream.started_at.unwrap_or(at)),
                ended_us: micros(at),
                peak_viewers: seen.peak_viewers,
                sessions: seen.sessions,
            };
            Fact::StreamEnded {
                stream: id,
                slug,
                broadcast,
            }
        }
    };
    update.exec(connection).await?;
    record(connection, version, fact).await?;
    Ok(())
}

pub(crate) async fn stop(
    connection: &impl ConnectionTrait,
    id: StreamId,
    seen: Seen,
) -> Result<(), StorageError> {
    transition(connection, id, StreamState::Offline, seen).await?;
    stream::Entity::update_many()
        .col_expr(stream::Column::StoppedAt, Expr::value(now()))
        .filter(stream::Column::Id.eq(id.as_uuid()))
        .exec(connection)
        .await?;
    let version = bump_version(connection, id).await?;
    record(connection, version, Fact::StreamStopped { stream: id }).await?;
    Ok(())
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    stream: Stream,
) -> Result<(), StorageError> {
    let (id, slug) = (stream.id, stream.slug);
    stream::Entity::delete_by_id(id.as_uuid())
        .exec(connection)
        .await?;
    let fact = Fact::StreamDeleted { stream: id, slug };
    record(connection, stream.version + 1, fact).await?;
    Ok(())
}

async fn all_of(
    connection: &impl ConnectionTrait,
    owner: UserId,
) -> Result<Vec<Stream>, StorageError> {
    let rows = stream::Entity::find()
        .filter(stream::Column::OwnerId.eq(owner.as_uuid()))
        .all(connection)
        .await?;
    rows.into_iter().map(Stream::try_from).collect()
}

/// Ends every stream of a user that is on air.
pub(crate) async fn stop_all_of(
    connection: &impl ConnectionTrait,
    owner: UserId,
) -> Result<(), StorageError> {
    for stream in all_of(connection, owner).await? {
        if stream.state.is_on_air() {
            stop(connection, stream.id, Seen::default()).await?;
        }
    }
    Ok(())
}

/// Deletes every stream of a user; who publishes one is cut off.
pub(crate) async fn delete_all_of(
    connection: &impl ConnectionTrait,
    owner: UserId,
) -> Result<(), StorageError> {
    stop_all_of(connection, owner).await?;
    for stream in all_of(connection, owner).await? {
        delete(connection, stream).await?;
    }
    Ok(())
}

/// Gives the streams without an owner to the first one.
pub(crate) async fn adopt_orphans(
    connection: &impl ConnectionTrait,
    owner: UserId,
) -> Result<(), StorageError> {
    stream::Entity::update_many()
        .col_expr(stream::Column::OwnerId, Expr::value(Some(owner.as_uuid())))
        .filter(stream::Column::OwnerId.is_null())
        .exec(connection)
        .await?;
    Ok(())
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    id: StreamId,
) -> Result<Stream, StorageError> {
    let row = stream::Entity::find_by_id(id.as_uuid())
        .one(connection)
        .await?;
    row.ok_or(StorageError::NoStream(id))?.try_into()
}
