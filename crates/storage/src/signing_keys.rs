//! Keys that tokens are signed with: public halves, and the private ones sealed.

use events::Fact;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use time::OffsetDateTime;

use crate::{
    Database, StorageError,
    entity::signing_key,
    hash::Sealed,
    outbox::{now, record},
};

/// What [`Fact::SettingChanged`] names when there is a new key.
pub const SIGNING_KEYS: &str = "signing-keys";

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPurpose {
    /// Users' access tokens.
    Access,
    /// Viewers' playback tokens.
    Playback,
}

impl KeyPurpose {
    /// The name, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Playback => "playback",
        }
    }
}

/// A key as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// The thumbprint of its public half.
    pub key_id: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// The seed, sealed.
    pub sealed: Sealed,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// The repository.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    database: Database,
}

impl SigningKeys {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// The keys of a purpose, oldest first.
    pub async fn of(&self, purpose: KeyPurpose) -> Result<Vec<SigningKeyRecord>, StorageError> {
        let rows = signing_key::Entity::find()
            .filter(signing_key::Column::Purpose.eq(purpose.as_str()))
            .order_by_asc(signing_key::Column::CreatedAt)
            .order_by_asc(signing_key::Column::KeyId)
            .all(self.database.connection())
            .await?;
        rows.into_iter()
            .map(|row| {
                let public_key = row
                    .public_key
                    .try_into()
                    .map_err(|_| StorageError::Corrupt {
                        table: "signing_keys",
                        column: "public_key",
                    })?;
                Ok(SigningKeyRecord {
                    key_id: row.key_id,
                    public_key,
                    sealed: Sealed(row.sealed),
                    created_at: row.created_at,
                })
            })
            .collect()
    }

    /// Keeps a new key, and lets every coordinator know ([`SIGNING_KEYS`]).
    pub async fn add(
        &self,
        purpose: KeyPurpose,
        key_id: &str,
        public_key: [u8; 32],
        sealed: Sealed,
    ) -> Result<(), StorageError> {
        let row = signing_key::ActiveModel {
            key_id: Set(key_id.to_owned()),
            purpose: Set(purpose.as_str().to_owned()),
            public_key: Set(public_key.to_vec()),
            sealed: Set(sealed.0),
            created_at: Set(now()),
        };
        let transaction = self.database.begin().await?;
        signing_key::Entity::insert(row)
            .exec_without_returning(&transaction)
            .await?;
        let version = now().unix_timestamp().unsigned_abs();
        let name = SIGNING_KEYS.to_owned();
        record(&transaction, version, Fact::SettingChanged { name }).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets keys of a purpose made before `before`: nothing that they signed counts any more.
    pub async fn purge(
        &self,
        purpose: KeyPurpose,
        before: OffsetDateTime,
    ) -> Result<(), StorageError> {
        signing_key::Entity::delete_many()
            .filter(signing_key::Column::Purpose.eq(purpose.as_str()))
            .filter(signing_key::Column::CreatedAt.lt(before))
            .exec(self.database.connection())
            .await?;
        Ok(())
    }
}
