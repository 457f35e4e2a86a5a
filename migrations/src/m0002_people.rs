//! People: accounts and their log-ins, signing keys, share links and playback sessions, settings and flags,
//! idempotency keys, and the audit log, which can only grow.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, binary_len, blob_null, boolean, integer, string_len, string_len_null, text,
        text_null, timestamp_with_time_zone, timestamp_with_time_zone_null, uuid, uuid_null,
        var_binary, var_binary_null,
    },
    sea_orm::DbBackend,
};

/// What accounts need.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum Streams {
    Table,
    Id,
    OwnerId,
    Description,
    Visibility,
    Testing,
    PeakViewers,
    StoppedAt,
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
    Email,
    DisplayName,
    Password,
    Role,
    Totp,
    TotpEnabled,
    TotpStep,
    ValidFrom,
    CreatedAt,
    BannedAt,
    DeletedAt,
}

#[derive(DeriveIden)]
enum RecoveryCodes {
    Table,
    Hash,
    UserId,
    UsedAt,
}

#[derive(DeriveIden)]
enum Logins {
    Table,
    Id,
    UserId,
    UserAgent,
    Network,
    CreatedAt,
    LastUsedAt,
    ExpiresAt,
    RevokedAt,
}

#[derive(DeriveIden)]
enum RefreshTokens {
    Table,
    Hash,
    LoginId,
    CreatedAt,
    UsedAt,
}

#[derive(DeriveIden)]
enum OneTimeLinks {
    Table,
    Hash,
    Purpose,
    UserId,
    CreatedAt,
    ExpiresAt,
    UsedAt,
}

#[derive(DeriveIden)]
enum Invitations {
    Table,
    Id,
    Hash,
    Email,
    Role,
    CreatedBy,
    CreatedAt,
    ExpiresAt,
    UsedAt,
}

#[derive(DeriveIden)]
enum SigningKeys {
    Table,
    KeyId,
    Purpose,
    PublicKey,
    Sealed,
    CreatedAt,
}

#[derive(DeriveIden)]
enum ShareLinks {
    Table,
    Id,
    StreamId,
    Hash,
    Label,
    CreatedAt,
    LastUsedAt,
    RevokedAt,
}

#[derive(DeriveIden)]
enum PlaybackSessions {
    Table,
    Id,
    StreamId,
    LinkId,
    UserId,
    IssuedAt,
    RevokedAt,
}

#[derive(DeriveIden)]
enum AuditLog {
    Table,
    Id,
    At,
    Action,
    Actor,
    Subject,
    Network,
    Detail,
}

#[derive(DeriveIden)]
enum Settings {
    Table,
    Name,
    Value,
    Version,
    UpdatedAt,
    UpdatedBy,
}

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    Scope,
    Key,
    Request,
    Answer,
    CreatedAt,
}

/// What is under a deleted row goes with it.
fn cascade<'a>(
    name: &str,
    key: &'a mut ForeignKeyCreateStatement,
) -> &'a mut ForeignKeyCreateStatement {
    key.name(name).on_delete(ForeignKeyAction::Cascade)
}

/// Accounts and how their owners prove who they are.
fn account_tables() -> Vec<TableCreateStatement> {
    let users = Table::create()
        .table(Users::Table)
        .col(uuid(Users::Id).primary_key())
        .col(string_len_null(Users::Email, 254).unique_key())
        .col(string_len(Users::DisplayName, 100))
        .col(string_len_null(Users::Password, 200))
        .col(string_len(Users::Role, 16))
        .col(var_binary_null(Users::Totp, 200))
        .col(boolean(Users::TotpEnabled))
        .col(big_integer(Users::TotpStep))
        .col(timestamp_with_time_zone(Users::ValidFrom))
        .col(timestamp_with_time_zone(Users::CreatedAt))
        .col(timestamp_with_time_zone_null(Users::BannedAt))
        .col(timestamp_with_time_zone_null(Users::DeletedAt))
        .take();
    let recovery_codes = Table::create()
        .table(RecoveryCodes::Table)
        .col(binary_len(RecoveryCodes::Hash, 32).primary_key())
        .col(uuid(RecoveryCodes::UserId))
        .foreign_key(cascade(
            "recovery_codes_user_id",
            ForeignKey::create()
                .from(RecoveryCodes::Table, RecoveryCodes::UserId)
                .to(Users::Table, Users::Id),
        ))
        .col(timestamp_with_time_zone_null(RecoveryCodes::UsedAt))
        .take();
    let logins = Table::create()
        .table(Logins::Table)
        .col(uuid(Logins::Id).primary_key())
        .col(uuid(Logins::UserId))
        .foreign_key(cascade(
            "logins_user_id",
            ForeignKey::create()
                .from(Logins::Table, Logins::UserId)
                .to(Users::Table, Users::Id),
        ))
        .col(string_len(Logins::UserAgent, 200))
        .col(string_len(Logins::Network, 64))
        .col(timestamp_with_time_zone(Logins::CreatedAt))
        .col(timestamp_with_time_zone(Logins::LastUsedAt))
        .col(timestamp_with_time_zone(Logins::ExpiresAt))
        .col(timestamp_with_time_zone_null(Logins::RevokedAt))
        .take();
    let refresh_tokens = Table::create()
        .table(RefreshTokens::Table)
        .col(binary_len(RefreshTokens::Hash, 32).primary_key())
        .col(uuid(RefreshTokens::LoginId))
        .foreign_key(cascade(
            "refresh_tokens_login_id",
            ForeignKey::create()
                .from(RefreshTokens::Table, RefreshTokens::LoginId)
                .to(Logins::Table, Logins::Id),
        ))
        .col(timestamp_with_time_zone(RefreshTokens::CreatedAt))
        .col(timestamp_with_time_zone_null(RefreshTokens::UsedAt))
        .take();
    let one_time_links = Table::create()
        .table(OneTimeLinks::Table)
        .col(binary_len(OneTimeLinks::Hash, 32).primary_key())
        .col(string_len(OneTimeLinks::Purpose, 16))
        .col(uuid_null(OneTimeLinks::UserId))
        .foreign_key(cascade(
            "one_time_links_user_id",
            ForeignKey::create()
                .from(OneTimeLinks::Table, OneTimeLinks::UserId)
                .to(Users::Table, Users::Id),
        ))
        .col(timestamp_with_time_zone(OneTimeLinks::CreatedAt))
        .col(timestamp_with_time_zone(OneTimeLinks::ExpiresAt))
        .col(timestamp_with_time_zone_null(OneTimeLinks::UsedAt))
        .take();
    vec![
        users,
        recovery_codes,
        logins,
        refresh_tokens,
        one_time_links,
    ]
}

/// Who is invited, and who may watch what.
fn watching_tables() -> Vec<TableCreateStatement> {
    let invitations = Table::create()
        .table(Invitations::Table)
        .col(uuid(Invitations::Id).primary_key())
        .col(binary_len(Invitations::Hash, 32).unique_key())
        .col(string_len_null(Invitations::Email, 254))
        .col(string_len(Invitations::Role, 16))
        .col(uuid_null(Invitations::CreatedBy))
        .col(timestamp_with_time_zone(Invitations::CreatedAt))
        .col(timestamp_with_time_zone(Invitations::ExpiresAt))
        .col(timestamp_with_time_zone_null(Invitations::UsedAt))
        .take();
    let signing_keys = Table::create()
        .table(SigningKeys::Table)
        .col(string_len(SigningKeys::KeyId, 64).primary_key())
        .col(string_len(SigningKeys::Purpose, 16))
        .col(binary_len(SigningKeys::PublicKey, 32))
        .col(var_binary(SigningKeys::Sealed, 200))
        .col(timestamp_with_time_zone(SigningKeys::CreatedAt))
        .take();
    let share_links = Table::create()
        .table(ShareLinks::Table)
        .col(uuid(ShareLinks::Id).primary_key())
        .col(uuid(ShareLinks::StreamId))
        .foreign_key(cascade(
            "share_links_stream_id",
            ForeignKey::create()
                .from(ShareLinks::Table, ShareLinks::StreamId)
                .to(Streams::Table, Streams::Id),
        ))
        .col(binary_len(ShareLinks::Hash, 32).unique_key())
        .col(string_len(ShareLinks::Label, 100))
        .col(timestamp_with_time_zone(ShareLinks::CreatedAt))
        .col(timestamp_with_time_zone_null(ShareLinks::LastUsedAt))
        .col(timestamp_with_time_zone_null(ShareLinks::RevokedAt))
        .take();
    let playback_sessions = Table::create()
        .table(PlaybackSessions::Table)
        .col(uuid(PlaybackSessions::Id).primary_key())
        .col(uuid(PlaybackSessions::StreamId))
        .foreign_key(cascade(
            "playback_sessions_stream_id",
            ForeignKey::create()
                .from(PlaybackSessions::Table, PlaybackSessions::StreamId)
                .to(Streams::Table, Streams::Id),
        ))
        .col(uuid_null(PlaybackSessions::LinkId))
        .col(uuid_null(PlaybackSessions::UserId))
        .col(timestamp_with_time_zone(PlaybackSessions::IssuedAt))
        .col(timestamp_with_time_zone_null(PlaybackSessions::RevokedAt))
        .take();
    vec![invitations, signing_keys, share_links, playback_sessions]
}

/// What is kept of what was done, and how things are set.
fn book_tables() -> Vec<TableCreateStatement> {
    let audit_log = Table::create()
        .table(AuditLog::Table)
        .col(uuid(AuditLog::Id).primary_key())
        .col(timestamp_with_time_zone(AuditLog::At))
        .col(string_len(AuditLog::Action, 40))
        .col(uuid_null(AuditLog::Actor))
        .col(string_len_null(AuditLog::Subject, 100))
        .col(string_len_null(AuditLog::Network, 64))
        .col(text_null(AuditLog::Detail))
        .take();
    let settings = Table::create()
        .table(Settings::Table)
        .col(string_len(Settings::Name, 64).primary_key())
        .col(string_len(Settings::Value, 200))
        .col(big_integer(Settings::Version))
        .col(timestamp_with_time_zone(Settings::UpdatedAt))
        .col(uuid_null(Settings::UpdatedBy))
        .take();
    let idempotency_keys = Table::create()
        .table(IdempotencyKeys::Table)
        .col(string_len(IdempotencyKeys::Scope, 64))
        .col(string_len(IdempotencyKeys::Key, 128))
        .col(binary_len(IdempotencyKeys::Request, 32))
        .col(blob_null(IdempotencyKeys::Answer))
        .col(timestamp_with_time_zone(IdempotencyKeys::CreatedAt))
        .primary_key(
            Index::create()
                .col(IdempotencyKeys::Scope)
                .col(IdempotencyKeys::Key),
        )
        .take();
    vec![audit_log, settings, idempotency_keys]
}

fn tables() -> Vec<TableCreateStatement> {
    let mut tables = account_tables();
    tables.extend(watching_tables());
    tables.extend(book_tables());
    tables
}

/// What a stream says of itself since it has an owner.
fn stream_columns() -> Vec<ColumnDef> {
    vec![
        uuid_null(Streams::OwnerId),
        text(Streams::Description).default("").take(),
        string_len(Streams::Visibility, 16).default("public").take(),
        boolean(Streams::Testing).default(false).take(),
        integer(Streams::PeakViewers).default(0).take(),
        timestamp_with_time_zone_null(Streams::StoppedAt),
    ]
}

/// No row of the audit log is ever changed or removed, whoever asks (promise G6).
fn append_only(backend: DbBackend) -> &'static [&'static str] {
    if backend == DbBackend::Sqlite {
        &[
            "CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END",
            "CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END",
        ]
    } else {
        &[
            "CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is append only'; END $$",
            "CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only()",
        ]
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for mut column in stream_columns() {
            let alter = Table::alter()
                .table(Streams::Table)
                .add_column(&mut column)
                .take();
            manager.alter_table(alter).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        let indexes = [
            (
                "streams_by_owner",
                Index::create()
                    .table(Streams::Table)
                    .col(Streams::OwnerId)
                    .take(),
            ),
            (
                "logins_by_user",
                Index::create()
                    .table(Logins::Table)
                    .col(Logins::UserId)
                    .take(),
            ),
            (
                "refresh_tokens_by_login",
                Index::create()
                    .table(RefreshTokens::Table)
                    .col(RefreshTokens::LoginId)
                    .take(),
            ),
            (
                "recovery_codes_by_user",
                Index::create()
                    .table(RecoveryCodes::Table)
                    .col(RecoveryCodes::UserId)
                    .take(),
            ),
            (
                "share_links_by_stream",
                Index::create()
                    .table(ShareLinks::Table)
                    .col(ShareLinks::StreamId)
                    .take(),
            ),
            (
                "playback_sessions_by_stream",
                Index::create()
                    .table(PlaybackSessions::Table)
                    .col(PlaybackSessions::StreamId)
                    .take(),
            ),
            (
                "audit_log_by_actor",
                Index::create()
                    .table(AuditLog::Table)
                    .col(AuditLog::Actor)
                    .take(),
            ),
            (
                "audit_log_by_subject",
                Index::create()
                    .table(AuditLog::Table)
                    .col(AuditLog::Subject)
                    .take(),
            ),
        ];
        for (name, mut index) in indexes {
            manager.create_index(index.name(name).take()).await?;
        }
        let connection = manager.get_connection();
        for statement in append_only(manager.get_database_backend()) {
            connection.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Sqlite {
            let connection = manager.get_connection();
            connection
                .execute_unprepared("DROP TRIGGER audit_log_no_change ON audit_log")
                .await?;
            connection
                .execute_unprepared("DROP FUNCTION audit_log_append_only()")
                .await?;
        }
        let mut created = tables();
        created.reverse();
        for table in created {
            if let Some(name) = table.get_table_name() {
                manager
                    .drop_table(Table::drop().table(name.clone()).take())
                    .await?;
            }
        }
        manager
            .drop_index(
                Index::drop()
                    .name("streams_by_owner")
                    .table(Streams::Table)
                    .to_owned(),
            )
            .await?;
        for column in [
            Streams::OwnerId,
            Streams::Description,
            Streams::Visibility,
            Streams::Testing,
            Streams::PeakViewers,
            Streams::StoppedAt,
        ] {
            manager
                .alter_table(
                    Table::alter()
                        .table(Streams::Table)
                        .drop_column(column)
                        .take(),
                )
                .await?;
        }
        Ok(())
    }
}
