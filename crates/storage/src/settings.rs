//! Settings and feature flags: changed while everything runs.

use events::Fact;
use sea_orm::{ActiveValue::Set, EntityTrait, sea_query::OnConflict};
use time::OffsetDateTime;
use types::UserId;

use crate::{
    Database, NewAudit, StorageError, audit,
    entity::setting,
    outbox::{now, record},
};

/// A setting that somebody changed; the others are at their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name, such as `registration` or `flag/publishing`.
    pub name: String,
    /// Its value.
    pub value: String,
    /// When it was changed.
    pub updated_at: OffsetDateTime,
    /// Who changed it.
    pub updated_by: Option<UserId>,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct Settings {
    database: Database,
}

impl Settings {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Every setting that was changed.
    pub async fn all(&self) -> Result<Vec<Setting>, StorageError> {
        let rows = setting::Entity::find()
            .all(self.database.connection())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Setting {
                name: row.name,
                value: row.value,
                updated_at: row.updated_at,
                updated_by: row.updated_by.map(UserId::from_uuid),
            })
            .collect())
    }

    /// Changes a setting.
    pub async fn put(
        &self,
        name: &str,
        value: &str,
        by: Option<UserId>,
        entry: NewAudit,
    ) -> Result<(), StorageError> {
        use setting::Column;
        let transaction = self.database.begin().await?;
        let before = setting::Entity::find_by_id(name).one(&transaction).await?;
        let version = before.map_or(1, |before| before.version + 1);
        let row = setting::ActiveModel {
            name: Set(name.to_owned()),
            value: Set(value.to_owned()),
            version: Set(version),
            updated_at: Set(now()),
            updated_by: Set(by.map(UserId::as_uuid)),
        };
        setting::Entity::insert(row)
            .on_conflict(
                OnConflict::column(Column::Name)
                    .update_columns([
                        Column::Value,
                        Column::Version,
                        Column::UpdatedAt,
                        Column::UpdatedBy,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&transaction)
            .await?;
        audit::write(&transaction, entry).await?;
        let fact = Fact::SettingChanged {
            name: name.to_owned(),
        };
        record(&transaction, version.cast_unsigned(), fact).await?;
        Ok(transaction.commit().await?)
    }
}
