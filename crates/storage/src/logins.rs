//! Log-ins and their refresh tokens: each is used once, and using one again ends the whole log-in
//! (RFC 9700 §4.14.2).

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use time::{Duration, OffsetDateTime};
use types::{LoginId, UserId};

use crate::{
    Database, NewAudit, StorageError, audit,
    entity::{login, refresh_token},
    hash::SecretHash,
    outbox::now,
};

/// Log-ins that one user may have; the oldest makes room.
const MAX_LOGINS: u64 = 50;
/// How long a log-in that ended is kept for its owner to see and for reuse to be recognised.
const KEPT: Duration = Duration::days(1);
/// How long a used refresh token is recognised; it would have expired by then.
const USED_KEPT: Duration = Duration::days(8);

/// A log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Its id.
    pub id: LoginId,
    /// Whose.
    pub user: UserId,
    /// What the browser said it is.
    pub user_agent: String,
    /// Where it came from: an address without its last part.
    pub network: String,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it was last refreshed.
    pub last_used_at: OffsetDateTime,
    /// When it ends unless refreshed.
    pub expires_at: OffsetDateTime,
    /// When it was ended.
    pub revoked_at: Option<OffsetDateTime>,
}

/// A log-in to be made.
#[derive(Debug, Clone)]
pub struct NewLogin {
    /// Whose.
    pub user: UserId,
    /// What the browser says it is.
    pub user_agent: String,
    /// Where it comes from.
    pub network: String,
    /// The first refresh token.
    pub token: SecretHash,
    /// How long it lasts unless refreshed.
    pub lifetime: Duration,
}

/// What using a refresh token led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The new token counts from now on.
    Rotated(Login),
    /// The token was used before: the log-in is over for whoever has its tokens.
    Reused(LoginId),
    /// No such token, or its log-in is over.
    Refused,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Logins {
    database: Database,
}

impl From<login::Model> for Login {
    fn from(row: login::Model) -> Self {
        Self {
            id: LoginId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id),
            user_agent: row.user_agent,
            network: row.network,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

impl Logins {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Begins a log-in.
    pub async fn create(&self, new: NewLogin, entry: NewAudit) -> Result<Login, StorageError> {
        let transaction = self.database.begin().await?;
        make_room(&transaction, new.user).await?;
        let at = now();
        let login = Login {
            id: LoginId::new(),
            user: new.user,
            user_agent: new.user_agent,
            network: new.network,
            created_at: at,
            last_used_at: at,
            expires_at: at + new.lifetime,
            revoked_at: None,
        };
        let row = login::ActiveModel {
            id: Set(login.id.as_uuid()),
            user_id: Set(login.user.as_uuid()),
            user_agent: Set(login.user_agent.clone()),
            network: Set(login.network.clone()),
            created_at: Set(at),
            last_used_at: Set(at),
            expires_at: Set(login.expires_at),
            revoked_at: Set(None),
        };
        login::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        insert_token(&transaction, login.id, new.token).await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(login)
    }

    /// Exchanges a refresh token for the next one.
    pub async fn rotate(
        &self,
        used: SecretHash,
        next: SecretHash,
        lifetime: Duration,
    ) -> Result<Rotation, StorageError> {
        let transaction = self.database.begin().await?;
        let Some(token) = refresh_token::Entity::find_by_id(used.to_vec())
            .one(&transaction)
            .await?
        else {
            return Ok(Rotation::Refused);
        };
        let id = LoginId::from_uuid(token.login_id);
        // Marking is conditional: of two that come together, one sees the token used.
        let marked = refresh_token::Entity::update_many()
            .col_expr(refresh_token::Column::UsedAt, Expr::value(now()))
            .filter(refresh_token::Column::Hash.eq(used.to_vec()))
            .filter(refresh_token::Column::UsedAt.is_null())
            .exec(&transaction)
            .await?;
        let login = login::Entity::find_by_id(token.login_id)
            .one(&transaction)
            .await?;
        let Some(mut login) = login
            .map(Login::from)
            .filter(|login| login.revoked_at.is_none())
        else {
            return Ok(Rotation::Refused);
        };
        if marked.rows_affected == 0 {
            revoke(&transaction, id).await?;
            let mut entry = NewAudit::new("login.reused");
            entry.subject = Some(format!("user/{}", login.user));
            audit::write(&transaction, entry).await?;
            transaction.commit().await?;
            return Ok(Rotation::Reused(id));
        }
        let at = now();
        if login.expires_at <= at {
            return Ok(Rotation::Refused);
        }
        login.last_used_at = at;
        login.expires_at = at + lifetime;
        login::Entity::update_many()
            .col_expr(login::Column::LastUsedAt, Expr::value(at))
            .col_expr(login::Column::ExpiresAt, Expr::value(login.expires_at))
            .filter(login::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        insert_token(&transaction, id, next).await?;
        transaction.commit().await?;
        Ok(Rotation::Rotated(login))
    }

    /// The log-in that a refresh token belongs to, used or not.
    pub async fn by_token(&self, token: SecretHash) -> Result<Option<Login>, StorageError> {
        let connection = self.database.connection();
        let Some(token) = refresh_token::Entity::find_by_id(token.to_vec())
            .one(connection)
            .await?
        else {
            return Ok(None);
        };
        self.get(LoginId::from_uuid(token.login_id)).await
    }

    /// The log-in with this id.
    pub async fn get(&self, id: LoginId) -> Result<Option<Login>, StorageError> {
        let row = login::Entity::find_by_id(id.as_uuid())
            .one(self.database.connection())
            .await?;
        Ok(row.map(Login::from))
    }

    /// A user's log-ins that last, newest first.
    pub async fn of(&self, user: UserId) -> Result<Vec<Login>, StorageError> {
        let rows = login::Entity::find()
            .filter(login::Column::UserId.eq(user.as_uuid()))
            .filter(login::Column::RevokedAt.is_null())
            .filter(login::Column::ExpiresAt.gt(now()))
            .order_by_desc(login::Column::LastUsedAt)
            .limit(MAX_LOGINS)
            .all(self.database.connection())
            .await?;
        Ok(rows.into_iter().map(Login::from).collect())
    }

    /// Ends a log-in of `user`. `false`: there is none that lasts.
    pub async fn end(
        &self,
        user: UserId,
        id: LoginId,
        entry: NewAudit,
    ) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        let found = login::Entity::find_by_id(id.as_uuid())
            .filter(login::Column::UserId.eq(user.as_uuid()))
            .filter(login::Column::RevokedAt.is_null())
            .one(&transaction)
            .await?;
        if found.is_none() {
            return Ok(false);
        }
        revoke(&transaction, id).await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets log-ins that ended a while ago, with their tokens.
    pub async fn purge(&self) -> Result<(), StorageError> {
        let before = now() - KEPT;
        login::Entity::delete_many()
            .filter(
                sea_orm::Condition::any()
                    .add(login::Column::ExpiresAt.lt(before))
                    .add(login::Column::RevokedAt.lt(before)),
            )
            .exec(self.database.connection())
            .await?;
        // A log-in that is used for months leaves a row a quarter of an hour.
        refresh_token::Entity::delete_many()
            .filter(refresh_token::Column::UsedAt.lt(now() - USED_KEPT))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }
}

async fn make_room(connection: &impl ConnectionTrait, user: UserId) -> Result<(), StorageError> {
    let beyond = login::Entity::find()
        .filter(login::Column::UserId.eq(user.as_uuid()))
        .order_by_desc(login::Column::LastUsedAt)
        .offset(MAX_LOGINS - 1)
        .limit(MAX_LOGINS)
        .all(connection)
        .await?;
    if !beyond.is_empty() {
        login::Entity::delete_many()
            .filter(login::Column::Id.is_in(beyond.into_iter().map(|row| row.id)))
            .exec(connection)
            .await?;
    }
    Ok(())
}

async fn insert_token(
    connection: &impl ConnectionTrait,
    login: LoginId,
    token: SecretHash,
) -> Result<(), StorageError> {
    let row = refresh_token::ActiveModel {
        hash: Set(token.to_vec()),
        login_id: Set(login.as_uuid()),
        created_at: Set(now()),
        used_at: Set(None),
    };
    refresh_token::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

async fn revoke(connection: &impl ConnectionTrait, id: LoginId) -> Result<(), StorageError> {
    login::Entity::update_many()
        .col_expr(login::Column::RevokedAt, Expr::value(now()))
        .filter(login::Column::Id.eq(id.as_uuid()))
        .exec(connection)
        .await?;
    Ok(())
}
