//! The keys that tokens are signed with: kept sealed in the database, shared by replicas, and rotated.

use std::{sync::Arc, time::Duration};

use auth::{
    AccessClaims, KeySet, Kind, PlaybackClaims, PublicKey, SigningKey, TokenError, UnixTime,
};
use parking_lot::RwLock;
use storage::{Database, KeyPurpose, SigningKeyRecord};
use time::OffsetDateTime;
use types::{InstanceId, Secret};

use crate::{Error, KeyError, KeyRing};

/// A new key signs once every replica and edge had the time to learn of it.
const PUBLISHED: Duration = Duration::from_secs(90);
/// How often keys are read again.
pub(crate) const REFRESH: Duration = Duration::from_secs(30);

/// Who makes keys holds this lease.
const MAKER: &str = "signing-keys";
/// For so long.
const MAKING: Duration = Duration::from_secs(5);
/// How often the first keys are looked for that another coordinator makes, and for how long.
const FIRST: Duration = Duration::from_millis(100);
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Keys {
    signing: Option<SigningKey>,
    verifying: Arc<KeySet>,
}

#[derive(Default)]
struct Both {
    access: Keys,
    playback: Keys,
}

/// Signs and verifies. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Signing {
    database: Database,
    ring: KeyRing,
    rotation: Duration,
    instance: InstanceId,
    keys: Arc<RwLock<Both>>,
}

/// Now, as tokens count.
pub(crate) fn now() -> UnixTime {
    UnixTime(OffsetDateTime::now_utc().unix_timestamp())
}

impl Signing {
    /// Reads the keys; makes the first ones.
    pub(crate) async fn open(
        database: Database,
        ring: KeyRing,
        rotation: Duration,
        instance: InstanceId,
    ) -> Result<Self, Error> {
        let signing = Self {
            database,
            ring,
            rotation,
            instance,
            keys: Arc::default(),
        };
        let first = async {
            while !signing.refresh().await? {
                tokio::time::sleep(FIRST).await;
            }
            Ok::<(), Error>(())
        };
        tokio::time::timeout(FIRST_PATIENCE, first)
            .await
            .map_err(|_| Error::TooSlow("another coordinator, which makes the first keys,"))??;
        Ok(signing)
    }

    /// Reads the keys again, makes a new one when it is time, and forgets what is over. `false`: another
    /// coordinator makes the first ones.
    pub(crate) async fn refresh(&self) -> Result<bool, Error> {
        let access = self
            .keys_of(KeyPurpose::Access, AccessClaims::LIFETIME)
            .await?;
        let playback = self
            .keys_of(KeyPurpose::Playback, PlaybackClaims::LIFETIME)
            .await?;
        let complete = access.signing.is_some() && playback.signing.is_some();
        if complete {
            *self.keys.write() = Both { access, playback };
        }
        Ok(complete)
    }

    async fn keys_of(&self, purpose: KeyPurpose, lifetime: Duration) -> Result<Keys, Error> {
        let repository = self.database.signing_keys();
        let mut records = repository.of(purpose).await?;
        let now = OffsetDateTime::now_utc();
        if self.is_due(&records, now) && self.may_make().await? {
            // Another coordinator may have made one a moment ago.
            records = repository.of(purpose).await?;
        }
        if self.is_due(&records, now) && self.may_make().await? {
            let key = SigningKey::generate()?;
            let sealed = self
                .ring
                .seal(&context(purpose, &key.id().0), key.seed().expose())?;
            repository
                .add(purpose, &key.id().0, key.public().0, sealed)
                .await?;
            tracing::info!(purpose = purpose.as_str(), key_id = %key.id(), "made a signing key");
            records = repository.of(purpose).await?;
        }
        // What the key before the last one signed is over a token's life after its successor took over.
        let over = self.rotation * 2 + PUBLISHED + lifetime + REFRESH * 2;
        repository.purge(purpose, now - over).await?;
        let signing = self.unseal(purpose, chosen(&records, now))?;
        let verifying = KeySet::new(records.iter().map(|record| PublicKey(record.public_key)));
        Ok(Keys {
            signing,
            verifying: Arc::new(verifying),
        })
    }

    fn is_due(&self, records: &[SigningKeyRecord], now: OffsetDateTime) -> bool {
        let newest = records.last().map(|record| now - record.created_at);
        newest.is_none_or(|age| age >= self.rotation)
    }

    /// Whether it is this coordinator that makes keys now.
    async fn may_make(&self) -> Result<bool, Error> {
        let leases = self.database.leases();
        Ok(leases.take(MAKER, self.instance, MAKING).await?)
    }

    fn unseal(
        &self,
        purpose: KeyPurpose,
        record: Option<&SigningKeyRecord>,
    ) -> Result<Option<SigningKey>, Error> {
        let Some(record) = record else {
            return Ok(None);
        };
        let seed = self
            .ring
            .unseal(&context(purpose, &record.key_id), &record.sealed)?;
        let seed: [u8; 32] = seed.try_into().map_err(|_| KeyError::Unseal)?;
        Ok(Some(SigningKey::from_seed(Secret::new(seed))?))
    }

    /// Signs an access token.
    pub(crate) fn sign_access(&self, claims: AccessClaims) -> Result<Secret<String>, Error> {
        sign(&self.keys.read().access, claims)
    }

    /// Signs a playback token.
    pub(crate) fn sign_playback(&self, claims: PlaybackClaims) -> Result<Secret<String>, Error> {
        sign(&self.keys.read().playback, claims)
    }

    /// Verifies an access token.
    pub(crate) fn verify_access(&self, token: &str) -> Result<AccessClaims, TokenError> {
        let keys = Arc::clone(&self.keys.read().access.verifying);
        auth::verify(&keys, token, now())
    }

    /// What users' tokens are verified with, as published.
    pub(crate) fn access_keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().access.verifying)
    }

    /// What playback tokens are verified with.
    pub(crate) fn playback_keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().playback.verifying)
    }
}

fn sign<K: Kind>(keys: &Keys, claims: K) -> Result<Secret<String>, Error> {
    let key = keys.signing.as_ref().ok_or(TokenError::Signing)?;
    Ok(key.sign(claims)?)
}

/// The newest key that everybody knows; while there is none, the oldest.
fn chosen(records: &[SigningKeyRecord], now: OffsetDateTime) -> Option<&SigningKeyRecord> {
    let known = records
        .iter()
        .rfind(|record| now - record.created_at >= PUBLISHED);
    known.or(records.first())
}

fn context(purpose: KeyPurpose, key_id: &str) -> String {
    format!("signing-key/{}/{key_id}", purpose.as_str())
}

#[cfg(test)]
mod tests {
    use storage::Sealed;

    use super::*;

    #[test]
    fn a_new_key_signs_once_everybody_knows_it() {
        let now = OffsetDateTime::now_utc();
        let record = |name: &str, age: u64| SigningKeyRecord {
            key_id: name.to_owned(),
            public_key: [0; 32],
            sealed: Sealed(Vec::new()),
            created_at: now - Duration::from_secs(age),
        };
        let pick = |records: &[SigningKeyRecord]| chosen(records, now).unwrap().key_id.clone();
        assert_eq!(pick(&[record("first", 0)]), "first");
        assert_eq!(pick(&[record("old", 1000), record("new", 10)]), "old");
        assert_eq!(pick(&[record("old", 1000), record("new", 100)]), "new");
        assert!(chosen(&[], now).is_none());
    }
}
