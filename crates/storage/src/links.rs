//! Secrets that are used once: set-up and password reset links, and invitations.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use time::{Duration, OffsetDateTime};
use types::{InvitationId, Role, UserId};

use crate::{
    Database, NewAudit, StorageError, audit,
    entity::{invitation, one_time_link},
    hash::SecretHash,
    outbox::now,
};

/// What a one-time link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// To make the owner's account.
    Setup,
    /// To set a new password.
    Reset,
}

impl LinkPurpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Reset => "reset",
        }
    }
}

/// An invitation to make an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// For this address alone, if one is named.
    pub email: Option<String>,
    /// What the account will be for.
    pub role: Role,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until when it may be used.
    pub expires_at: OffsetDateTime,
    /// When it was used.
    pub used_at: Option<OffsetDateTime>,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Links {
    database: Database,
}

impl TryFrom<invitation::Model> for Invitation {
    type Error = StorageError;

    fn try_from(row: invitation::Model) -> Result<Self, StorageError> {
        Ok(Self {
            id: InvitationId::from_uuid(row.id),
            email: row.email,
            role: row.role.parse().map_err(|_| StorageError::Corrupt {
                table: "invitations",
                column: "role",
            })?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        })
    }
}

impl Links {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes a one-time link; earlier ones of its purpose and user are worth nothing. Answers its end.
    pub async fn create(
        &self,
        purpose: LinkPurpose,
        user: Option<UserId>,
        hash: SecretHash,
        lifetime: Duration,
        entry: Option<NewAudit>,
    ) -> Result<OffsetDateTime, StorageError> {
        use one_time_link::Column;
        let transaction = self.database.begin().await?;
        let mut earlier =
            one_time_link::Entity::delete_many().filter(Column::Purpose.eq(purpose.as_str()));
        earlier = match user {
            Some(user) => earlier.filter(Column::UserId.eq(user.as_uuid())),
            None => earlier.filter(Column::UserId.is_null()),
        };
        earlier.exec(&transaction).await?;
        let expires_at = now() + lifetime;
        let row = one_time_link::ActiveModel {
            hash: Set(hash.to_vec()),
            purpose: Set(purpose.as_str().to_owned()),
            user_id: Set(user.map(UserId::as_uuid)),
            created_at: Set(now()),
            expires_at: Set(expires_at),
            used_at: Set(None),
        };
        one_time_link::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        if let Some(entry) = entry {
            audit::write(&transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(expires_at)
    }

    /// Whether the link may be used now, without using it.
    pub async fn is_good(
        &self,
        purpose: LinkPurpose,
        hash: SecretHash,
    ) -> Result<bool, StorageError> {
        use one_time_link::Column;
        let found = one_time_link::Entity::find_by_id(hash.to_vec())
            .filter(Column::Purpose.eq(purpose.as_str()))
            .filter(Column::UsedAt.is_null())
            .filter(Column::ExpiresAt.gt(now()))
            .one(self.database.connection())
            .await?;
        Ok(found.is_some())
    }

    /// Uses a link up. Answers whose it is; `None`: there is no such link, it was used, or its time is over.
    pub async fn take(
        &self,
        purpose: LinkPurpose,
        hash: SecretHash,
    ) -> Result<Option<Option<UserId>>, StorageError> {
        use one_time_link::Column;
        let taken = one_time_link::Entity::update_many()
            .col_expr(Column::UsedAt, Expr::value(now()))
            .filter(Column::Hash.eq(hash.to_vec()))
            .filter(Column::Purpose.eq(purpose.as_str()))
            .filter(Column::UsedAt.is_null())
            .filter(Column::ExpiresAt.gt(now()))
            .exec(self.database.connection())
            .await?;
        if taken.rows_affected == 0 {
            return Ok(None);
        }
        let row = one_time_link::Entity::find_by_id(hash.to_vec())
            .one(self.database.connection())
            .await?;
        Ok(row.map(|row| row.user_id.map(UserId::from_uuid)))
    }

    /// Makes an invitation.
    pub async fn invite(
        &self,
        by: UserId,
        email: Option<String>,
        role: Role,
        hash: SecretHash,
        lifetime: Duration,
        entry: NewAudit,
    ) -> Result<Invitation, StorageError> {
        let transaction = self.database.begin().await?;
        let at = now();
        let made = Invitation {
            id: InvitationId::new(),
            email,
            role,
            created_at: at,
            expires_at: at + lifetime,
            used_at: None,
        };
        let row = invitation::ActiveModel {
            id: Set(made.id.as_uuid()),
            hash: Set(hash.to_vec()),
            email: Set(made.email.clone()),
            role: Set(role.to_string()),
            created_by: Set(Some(by.as_uuid())),
            created_at: Set(at),
            expires_at: Set(made.expires_at),
            used_at: Set(None),
        };
        invitation::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// The invitation that this secret opens, used or not.
    pub async fn invitation(&self, hash: SecretHash) -> Result<Option<Invitation>, StorageError> {
        let row = invitation::Entity::find()
            .filter(invitation::Column::Hash.eq(hash.to_vec()))
            .one(self.database.connection())
            .await?;
        row.map(Invitation::try_from).transpose()
    }

    /// Uses an invitation up. `false`: it was used, or its time is over.
    pub async fn use_invitation(&self, id: InvitationId) -> Result<bool, StorageError> {
        let used = invitation::Entity::update_many()
            .col_expr(invitation::Column::UsedAt, Expr::value(now()))
            .filter(invitation::Column::Id.eq(id.as_uuid()))
            .filter(invitation::Column::UsedAt.is_null())
            .filter(invitation::Column::ExpiresAt.gt(now()))
            .exec(self.database.connection())
            .await?;
        Ok(used.rows_affected > 0)
    }

    /// Invitations, newest first.
    pub async fn invitations(
        &self,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StorageError> {
        let mut query = invitation::Entity::find()
            .order_by_desc(invitation::Column::Id)
            .limit(u64::from(limit));
        if let Some(after) = after {
            query = query.filter(invitation::Column::Id.lt(after.as_uuid()));
        }
        let rows = query.all(self.database.connection()).await?;
        rows.into_iter().map(Invitation::try_from).collect()
    }

    /// Takes an invitation back. `false`: there is none.
    pub async fn withdraw(&self, id: InvitationId, entry: NewAudit) -> Result<bool, StorageError> {
        let transaction = self.database.begin().await?;
        let deleted = invitation::Entity::delete_many()
            .filter(invitation::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        if deleted.rows_affected == 0 {
            return Ok(false);
        }
        audit::write(&transaction, entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets links whose time has long been over.
    pub async fn purge(&self) -> Result<(), StorageError> {
        let before = now() - Duration::days(30);
        one_time_link::Entity::delete_many()
            .filter(one_time_link::Column::ExpiresAt.lt(before))
            .exec(self.database.connection())
            .await?;
        invitation::Entity::delete_many()
            .filter(invitation::Column::ExpiresAt.lt(before))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }
}
