//! Accounts: who there is, what they may do, and how they prove who they are.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use time::OffsetDateTime;
use types::{Role, Secret, UserId};

use crate::{
    Database, NewAudit, StorageError, audit,
    entity::{login, one_time_link, recovery_code, user},
    hash::{PasswordHash, Sealed, SecretHash},
    outbox::now,
    stream_life,
};

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The e-mail address, in lower case; gone once deleted.
    pub email: Option<String>,
    /// The name others see.
    pub display_name: String,
    /// The password, hashed.
    pub password: Option<PasswordHash>,
    /// What the account is for.
    pub role: Role,
    /// The sealed TOTP secret.
    pub totp: Option<Sealed>,
    /// Whether logging in asks for TOTP.
    pub totp_enabled: bool,
    /// The last TOTP step that was used; it and earlier ones are worth nothing.
    pub totp_step: i64,
    /// Access tokens issued before are worth nothing.
    pub valid_from: OffsetDateTime,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was banned.
    pub banned_at: Option<OffsetDateTime>,
    /// When it was deleted: the row stays for the books, without what is personal.
    pub deleted_at: Option<OffsetDateTime>,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// In lower case.
    pub email: String,
    /// The name others see.
    pub display_name: String,
    /// The password, hashed.
    pub password: PasswordHash,
    /// What the account is for.
    pub role: Role,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Users {
    database: Database,
}

impl TryFrom<user::Model> for User {
    type Error = StorageError;

    fn try_from(row: user::Model) -> Result<Self, StorageError> {
        Ok(Self {
            id: UserId::from_uuid(row.id),
            email: row.email,
            display_name: row.display_name,
            password: row.password.map(Secret::new),
            role: row.role.parse().map_err(|_| StorageError::Corrupt {
                table: "users",
                column: "role",
            })?,
            totp: row.totp.map(Sealed),
            totp_enabled: row.totp_enabled,
            totp_step: row.totp_step,
            valid_from: row.valid_from,
            created_at: row.created_at,
            banned_at: row.banned_at,
            deleted_at: row.deleted_at,
        })
    }
}

impl Users {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes a user.
    pub async fn create(&self, new: NewUser, entry: NewAudit) -> Result<User, StorageError> {
        let transaction = self.database.begin().await?;
        let user = insert(&transaction, new, entry).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Makes the first admin, to whom every stream without an owner goes. `None` when there is one.
    pub async fn create_owner(
        &self,
        new: NewUser,
        entry: NewAudit,
    ) -> Result<Option<User>, StorageError> {
        let transaction = self.database.begin().await?;
        lock_accounts(&transaction).await?;
        if admins(&transaction).await? > 0 {
            return Ok(None);
        }
        let user = insert(&transaction, new, entry).await?;
        stream_life::adopt_orphans(&transaction, user.id).await?;
        one_time_link::Entity::delete_many()
            .filter(one_time_link::Column::Purpose.eq("setup"))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(user))
    }

    /// The user with this id, deleted ones too.
    pub async fn by_id(&self, id: UserId) -> Result<Option<User>, StorageError> {
        let row = user::Entity::find_by_id(id.as_uuid())
            .one(self.database.connection())
            .await?;
        row.map(User::try_from).transpose()
    }

    /// The user with this address, in lower case.
    pub async fn by_email(&self, email: &str) -> Result<Option<User>, StorageError> {
        let row = user::Entity::find()
            .filter(user::Column::Email.eq(email))
            .one(self.database.connection())
            .await?;
        row.map(User::try_from).transpose()
    }

    /// The names of users, to show beside what they did.
    pub async fn names(&self, ids: &[UserId]) -> Result<Vec<(UserId, String)>, StorageError> {
        let rows = user::Entity::find()
            .filter(user::Column::Id.is_in(ids.iter().map(|id| id.as_uuid())))
            .all(self.database.connection())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (UserId::from_uuid(row.id), row.display_name))
            .collect())
    }

    /// The admin that was made first.
    pub async fn owner(&self) -> Result<Option<User>, StorageError> {
        let row = user::Entity::find()
            .filter(live_admin())
            .order_by_asc(user::Column::Id)
            .one(self.database.connection())
            .await?;
        row.map(User::try_from).transpose()
    }

    /// Users whose address or name holds `query`, after `after`, `limit` at most; deleted ones not.
    pub async fn list(
        &self,
        query: Option<&str>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StorageError> {
        let mut find = user::Entity::find()
            .filter(user::Column::DeletedAt.is_null())
            .order_by_asc(user::Column::Id)
            .limit(u64::from(limit));
        if let Some(text) = query {
            find = find.filter(
                Condition::any()
                    .add(user::Column::Email.contains(text))
                    .add(user::Column::DisplayName.contains(text)),
            );
        }
        if let Some(after) = after {
            find = find.filter(user::Column::Id.gt(after.as_uuid()));
        }
        let rows = find.all(self.database.connection()).await?;
        rows.into_iter().map(User::try_from).collect()
    }

    /// Changes the name others see.
    pub async fn rename(&self, id: UserId, display_name: &str) -> Result<User, StorageError> {
        let name = Expr::value(display_name.to_owned());
        self.change(id, user::Column::DisplayName, name, None).await
    }

    /// Changes the role. The last admin stays one.
    pub async fn set_role(
        &self,
        id: UserId,
        role: Role,
        entry: NewAudit,
    ) -> Result<User, StorageError> {
        let transaction = self.database.begin().await?;
        lock_accounts(&transaction).await?;
        if role != Role::Admin {
            keep_an_admin(&transaction, id).await?;
        }
        update(
            &transaction,
            id,
            user::Column::Role,
            Expr::value(role.as_str()),
        )
        .await?;
        audit::write(&transaction, entry).await?;
        let user = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Bans, which ends every log-in and stops every stream; or lifts a ban. The last admin can't be banned.
    pub async fn set_banned(
        &self,
        id: UserId,
        banned: bool,
        entry: NewAudit,
    ) -> Result<User, StorageError> {
        let transaction = self.database.begin().await?;
        lock_accounts(&transaction).await?;
        let at = banned.then(now);
        if banned {
            keep_an_admin(&transaction, id).await?;
        }
        update(&transaction, id, user::Column::BannedAt, Expr::value(at)).await?;
        if banned {
            end_logins(&transaction, id, None).await?;
            stream_life::stop_all_of(&transaction, id).await?;
        }
        audit::write(&transaction, entry).await?;
        let user = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Changes the password and ends every log-in but `keep`.
    pub async fn set_password(
        &self,
        id: UserId,
        password: &PasswordHash,
        keep: Option<types::LoginId>,
        entry: NewAudit,
    ) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        let value = Expr::value(password.expose().clone());
        update(&transaction, id, user::Column::Password, value).await?;
        end_logins(&transaction, id, keep).await?;
        audit::write(&transaction, entry).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends every log-in and makes every access token issued before worthless.
    pub async fn log_out_everywhere(
        &self,
        id: UserId,
        entry: NewAudit,
    ) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        end_logins(&transaction, id, None).await?;
        audit::write(&transaction, entry).await?;
        Ok(transaction.commit().await?)
    }

    /// Keeps a TOTP secret that is not asked for yet.
    pub async fn propose_totp(&self, id: UserId, secret: Sealed) -> Result<(), StorageError> {
        let updated = user::Entity::update_many()
            .col_expr(user::Column::Totp, Expr::value(secret.0))
            .filter(user::Column::Id.eq(id.as_uuid()))
            .filter(user::Column::TotpEnabled.eq(false))
            .exec(self.database.connection())
            .await?;
        if updated.rows_affected == 0 {
            return Err(StorageError::TotpEnabled);
        }
        Ok(())
    }

    /// Asks for TOTP from now on; `codes` are the recovery codes' hashes.
    pub async fn enable_totp(
        &self,
        id: UserId,
        step: i64,
        codes: &[SecretHash],
        entry: NewAudit,
    ) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        update(
            &transaction,
            id,
            user::Column::TotpEnabled,
            Expr::value(true),
        )
        .await?;
        update(&transaction, id, user::Column::TotpStep, Expr::value(step)).await?;
        replace_codes(&transaction, id, codes).await?;
        audit::write(&transaction, entry).await?;
        Ok(transaction.commit().await?)
    }

    /// Asks for TOTP no more.
    pub async fn disable_totp(&self, id: UserId, entry: NewAudit) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        update(
            &transaction,
            id,
            user::Column::TotpEnabled,
            Expr::value(false),
        )
        .await?;
        let none = Expr::value(None::<Vec<u8>>);
        update(&transaction, id, user::Column::Totp, none).await?;
        replace_codes(&transaction, id, &[]).await?;
        audit::write(&transaction, entry).await?;
        Ok(transaction.commit().await?)
    }

    /// Uses a TOTP step up. `false`: it, or a later one, was used before (RFC 6238 §5.2).
    pub async fn use_totp_step(&self, id: UserId, step: i64) -> Result<bool, StorageError> {
        let updated = user::Entity::update_many()
            .col_expr(user::Column::TotpStep, Expr::value(step))
            .filter(user::Column::Id.eq(id.as_uuid()))
            .filter(user::Column::TotpStep.lt(step))
            .exec(self.database.connection())
            .await?;
        Ok(updated.rows_affected > 0)
    }

    /// Uses a recovery code up. `false`: there is no such code, or it was used.
    pub async fn use_recovery_code(
        &self,
        id: UserId,
        code: SecretHash,
    ) -> Result<bool, StorageError> {
        let updated = recovery_code::Entity::update_many()
            .col_expr(recovery_code::Column::UsedAt, Expr::value(now()))
            .filter(recovery_code::Column::Hash.eq(code.to_vec()))
            .filter(recovery_code::Column::UserId.eq(id.as_uuid()))
            .filter(recovery_code::Column::UsedAt.is_null())
            .exec(self.database.connection())
            .await?;
        Ok(updated.rows_affected > 0)
    }

    /// Deletes an account: its streams and log-ins go, and what is personal; the row stays for the books.
    /// The last admin stays.
    pub async fn delete(&self, id: UserId, entry: NewAudit) -> Result<(), StorageError> {
        let transaction = self.database.begin().await?;
        lock_accounts(&transaction).await?;
        keep_an_admin(&transaction, id).await?;
        stream_life::delete_all_of(&transaction, id).await?;
        login::Entity::delete_many()
            .filter(login::Column::UserId.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        replace_codes(&transaction, id, &[]).await?;
        let updated = user::Entity::update_many()
            .col_expr(user::Column::Email, Expr::value(None::<String>))
            .col_expr(user::Column::DisplayName, Expr::value("deleted account"))
            .col_expr(user::Column::Password, Expr::value(None::<String>))
            .col_expr(user::Column::Totp, Expr::value(None::<Vec<u8>>))
            .col_expr(user::Column::TotpEnabled, Expr::value(false))
            .col_expr(user::Column::ValidFrom, Expr::value(now()))
            .col_expr(user::Column::DeletedAt, Expr::value(now()))
            .filter(user::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        if updated.rows_affected == 0 {
            return Err(StorageError::NoUser(id));
        }
        audit::write(&transaction, entry).await?;
        Ok(transaction.commit().await?)
    }

    async fn change(
        &self,
        id: UserId,
        column: user::Column,
        value: Expr,
        entry: Option<NewAudit>,
    ) -> Result<User, StorageError> {
        let transaction = self.database.begin().await?;
        update(&transaction, id, column, value).await?;
        if let Some(entry) = entry {
            audit::write(&transaction, entry).await?;
        }
        let user = find(&transaction, id).await?;
        transaction.commit().await?;
        Ok(user)
    }
}

fn live_admin() -> Condition {
    Condition::all()
        .add(user::Column::Role.eq(Role::Admin.as_str()))
        .add(user::Column::DeletedAt.is_null())
        .add(user::Column::BannedAt.is_null())
}

async fn admins(connection: &impl ConnectionTrait) -> Result<u64, StorageError> {
    Ok(user::Entity::find()
        .filter(live_admin())
        .count(connection)
        .await?)
}

/// Rules that look at all accounts are checked one at a time: the same row is written first by each. On
/// SQLite the transaction has the write lock already.
async fn lock_accounts(connection: &impl ConnectionTrait) -> Result<(), StorageError> {
    if connection.get_database_backend() == sea_orm::DbBackend::Postgres {
        connection
            .execute_unprepared("SELECT pg_advisory_xact_lock(7310605)")
            .await?;
    }
    Ok(())
}

async fn keep_an_admin(connection: &impl ConnectionTrait, id: UserId) -> Result<(), StorageError> {
    let others = user::Entity::find()
        .filter(live_admin())
        .filter(user::Column::Id.ne(id.as_uuid()))
        .count(connection)
        .await?;
    let user = find(connection, id).await?;
    let is_admin = user.role == Role::Admin && user.banned_at.is_none();
    if is_admin && others == 0 {
        return Err(StorageError::LastAdmin);
    }
    Ok(())
}

async fn insert(
    connection: &impl ConnectionTrait,
    new: NewUser,
    mut entry: NewAudit,
) -> Result<User, StorageError> {
    let id = UserId::new();
    let at = now();
    let row = user::ActiveModel {
        id: Set(id.as_uuid()),
        email: Set(Some(new.email)),
        display_name: Set(new.display_name),
        password: Set(Some(new.password.expose().clone())),
        role: Set(new.role.to_string()),
        totp: Set(None),
        totp_enabled: Set(false),
        totp_step: Set(0),
        valid_from: Set(at),
        created_at: Set(at),
        banned_at: Set(None),
        deleted_at: Set(None),
    };
    match user::Entity::insert(row)
        .exec_without_returning(connection)
        .await
    {
        Ok(_) => {}
        Err(error) if StorageError::is_unique_violation(&error) => {
            return Err(StorageError::EmailTaken);
        }
        Err(error) => return Err(error.into()),
    }
    entry.actor = entry.actor.or(Some(id));
    entry.subject = Some(format!("user/{id}"));
    audit::write(connection, entry).await?;
    find(connection, id).await
}

async fn update(
    connection: &impl ConnectionTrait,
    id: UserId,
    column: user::Column,
    value: Expr,
) -> Result<(), StorageError> {
    let updated = user::Entity::update_many()
        .col_expr(column, value)
        .filter(user::Column::Id.eq(id.as_uuid()))
        .filter(user::Column::DeletedAt.is_null())
        .exec(connection)
        .await?;
    if updated.rows_affected == 0 {
        return Err(StorageError::NoUser(id));
    }
    Ok(())
}

async fn find(connection: &impl ConnectionTrait, id: UserId) -> Result<User, StorageError> {
    let row = user::Entity::find_by_id(id.as_uuid())
        .one(connection)
        .await?;
    row.ok_or(StorageError::NoUser(id))?.try_into()
}

async fn end_logins(
    connection: &impl ConnectionTrait,
    id: UserId,
    keep: Option<types::LoginId>,
) -> Result<(), StorageError> {
    let mut end = login::Entity::update_many()
        .col_expr(login::Column::RevokedAt, Expr::value(now()))
        .filter(login::Column::UserId.eq(id.as_uuid()))
        .filter(login::Column::RevokedAt.is_null());
    match keep {
        Some(keep) => end = end.filter(login::Column::Id.ne(keep.as_uuid())),
        None => update(connection, id, user::Column::ValidFrom, Expr::value(now())).await?,
    }
    end.exec(connection).await?;
    Ok(())
}

async fn replace_codes(
    connection: &impl ConnectionTrait,
    id: UserId,
    codes: &[SecretHash],
) -> Result<(), StorageError> {
    recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(id.as_uuid()))
        .exec(connection)
        .await?;
    if codes.is_empty() {
        return Ok(());
    }
    let rows = codes.iter().map(|code| recovery_code::ActiveModel {
        hash: Set(code.to_vec()),
        user_id: Set(id.as_uuid()),
        used_at: Set(None),
    });
    recovery_code::Entity::insert_many(rows)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
