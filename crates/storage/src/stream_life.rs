//! What happens to streams inside transactions: their life, whoever begins the transaction.

use events::Fact;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, sea_query::Expr};
use types::{StreamId, StreamState, UserId};

use crate::{
    NewAudit, StorageError, Stream,
    entity::stream,
    outbox::{now, record},
};

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
            update = update.col_expr(stream::Column::StartedAt, Expr::value(at));
            Fact::StreamStarted { stream: id, slug }
        }
        (_, StreamState::Ready | StreamState::Offline) => {
            update = update.col_expr(stream::Column::EndedAt, Expr::value(at));
            Fact::StreamEnded { stream: id, slug }
        }
    };
    update.exec(connection).await?;
    record(connection, version, fact).await?;
    Ok(())
}

pub(crate) async fn stop(
    connection: &impl ConnectionTrait,
    id: StreamId,
) -> Result<(), StorageError> {
    transition(connection, id, StreamState::Offline).await?;
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
            stop(connection, stream.id).await?;
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
