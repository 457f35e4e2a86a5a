//! The second factor: time-based codes (RFC 6238) and recovery codes.

use storage::{StorageError, User};
use time::OffsetDateTime;
use totp_rs::{Builder, Secret as TotpSecret, Totp};
use types::{Secret, UserId};

use super::{Accounts, Request, Standing};
use crate::{Error, keys::Purpose};

/// Recovery codes made at once.
const CODES: usize = 10;
/// Characters of a recovery code: 32 kinds, so 80 bit.
const CODE_LENGTH: usize = 16;
/// What recovery codes are written with: no letter looks like a digit (Crockford).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Bytes of a TOTP secret: as many as SHA-1 has (RFC 4226 §4).
const SECRET_BYTES: usize = 20;

/// A secret for an authenticator, not in force until a code confirms it.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) secret: String,
    pub(crate) otpauth_url: String,
}

fn context(user: UserId) -> String {
    format!("totp/{user}")
}

fn totp(bytes: &[u8], account: &str) -> Result<Totp, Error> {
    Builder::new()
        .with_secret(TotpSecret::new(bytes.into()))
        .with_issuer(Some("Streamr"))
        .with_account_name(account.replace(':', " "))
        .build()
        .map_err(|_| Error::Hashing)
}

fn unix_now() -> u64 {
    OffsetDateTime::now_utc().unix_timestamp().unsigned_abs()
}

/// A recovery code as it is compared: dashes and case are for people.
fn normal(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

impl Accounts {
    /// Makes a secret for an authenticator.
    pub(crate) async fn propose_totp(&self, user: &User) -> Result<Proposal, Error> {
        let bytes: [u8; SECRET_BYTES] = rand::random();
        let account = user.email.as_deref().unwrap_or("streamr");
        let totp = totp(&bytes, account)?;
        let sealed = self.keys.seal(&context(user.id), &bytes)?;
        self.database.users().propose_totp(user.id, sealed).await?;
        Ok(Proposal {
            secret: totp.secret().to_base32(),
            otpauth_url: totp.to_url().map_err(|_| Error::Hashing)?,
        })
    }

    /// Puts the proposed secret in force. Answers recovery codes, to be shown once.
    pub(crate) async fn confirm_totp(
        &self,
        standing: &Standing,
        code: &str,
        request: &Request,
    ) -> Result<Vec<Secret<String>>, Error> {
        let user = self.database.users().by_id(standing.user).await?;
        let user = user.ok_or(Error::LoggedOut)?;
        if user.totp_enabled {
            return Err(StorageError::TotpEnabled.into());
        }
        let Some(step) = self.matching_step(&user, code)? else {
            return Err(Error::field(
                "code",
                "the code is wrong; check that the clock of your phone is right",
            ));
        };
        let codes: Vec<Secret<String>> = (0..CODES).map(|_| recovery_code()).collect();
        let hashes: Vec<_> = codes
            .iter()
            .map(|code| self.recovery_hash(user.id, code.expose()))
            .collect();
        let mut entry = request.audit_by(standing, "totp.enabled");
        entry.subject = Some(format!("user/{}", user.id));
        self.database
            .users()
            .enable_totp(user.id, step, &hashes, entry)
            .await?;
        Ok(codes)
    }

    /// Whether the code is the authenticator's, not used before, or an unused recovery code; uses it up.
    pub(super) async fn check_second_factor(&self, user: &User, code: &str) -> Result<bool, Error> {
        let users = self.database.users();
        if let Some(step) = self.matching_step(user, code)? {
            return Ok(users.use_totp_step(user.id, step).await?);
        }
        if normal(code).len() != CODE_LENGTH {
            return Ok(false);
        }
        let hash = self.recovery_hash(user.id, code);
        Ok(users.use_recovery_code(user.id, hash).await?)
    }

    fn matching_step(&self, user: &User, code: &str) -> Result<Option<i64>, Error> {
        let code = code.trim();
        let Some(sealed) = &user.totp else {
            return Ok(None);
        };
        if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(None);
        }
        let bytes = self.keys.unseal(&context(user.id), sealed)?;
        let step = totp(&bytes, "streamr")?.check(code, unix_now());
        Ok(step.map(u64::cast_signed))
    }

    fn recovery_hash(&self, user: UserId, code: &str) -> storage::SecretHash {
        let bound = format!("{user}/{}", normal(code));
        self.keys.hash_secret(Purpose::Recovery, bound.as_bytes())
    }
}

fn recovery_code() -> Secret<String> {
    let bytes: [u8; CODE_LENGTH] = rand::random();
    let mut code = String::with_capacity(CODE_LENGTH + 3);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Secret::new(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_rfc_6238() {
        // Appendix B: the last six digits of the eight for SHA-1.
        let totp = totp(b"12345678901234567890", "ana").unwrap();
        assert!(totp.check("287082", 59).is_some());
        assert!(totp.check("081804", 1_111_111_109).is_some());
        assert!(totp.check("081804", 59).is_none());
    }

    #[test]
    fn recovery_codes_are_read_as_people_write_them() {
        let code = recovery_code();
        assert_eq!(normal(code.expose()).len(), CODE_LENGTH);
        assert_eq!(
            normal(&code.expose().to_uppercase().replace('-', " ")),
            normal(code.expose())
        );
        assert_ne!(recovery_code().expose(), code.expose());
    }
}
