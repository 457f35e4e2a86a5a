//! Passwords: which ones will do, and argon2id hashes of them (RFC 9106).

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash as Phc},
};
use storage::PasswordHash;
use tokio::sync::Semaphore;
use types::Secret;

use crate::Error;

/// The shortest password, in characters (ASVS 5.0, 6.2.1).
const MIN_LENGTH: usize = 8;
/// The longest, in characters; hashing is not for free.
const MAX_LENGTH: usize = 128;
/// Hashes computed at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Hashes that may wait; further ones are refused.
const WAITING: usize = 64;

/// What is tried first, of eight characters and more.
const COMMON: &[&str] = &[
    "00000000",
    "1111111111",
    "11111111",
    "12341234",
    "123123123",
    "1234567890",
    "123456789",
    "12345678",
    "1234qwer",
    "147258369",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "87654321",
    "987654321",
    "aa123456",
    "abc12345",
    "abcd1234",
    "abcdefgh",
    "admin123",
    "administrator",
    "asdf1234",
    "asdfasdf",
    "asdfghjk",
    "asdfghjkl",
    "baseball",
    "changeme",
    "computer",
    "football",
    "iloveyou",
    "internet",
    "letmein1",
    "liverpool",
    "master123",
    "metallica",
    "michelle",
    "p@ssw0rd",
    "p@ssword",
    "passw0rd",
    "password",
    "password!",
    "password1",
    "password12",
    "password123",
    "password1234",
    "princess",
    "q1w2e3r4",
    "qazwsxedc",
    "qwer1234",
    "qwerty12",
    "qwerty123",
    "qwertyui",
    "qwertyuiop",
    "samsung1",
    "starwars",
    "streamr1",
    "streamr123",
    "sunshine",
    "superman",
    "test1234",
    "trustno1",
    "welcome1",
    "welcome123",
    "whatever",
    "zaq12wsx",
    "zxcvbnm1",
];

/// Hashes and verifies, a few at a time. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Whether a password will do for the account of `email`; the problem, if not.
pub(crate) fn check(password: &str, email: &str) -> Result<(), String> {
    let length = password.chars().count();
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        return Err(format!(
            "write a password of {MIN_LENGTH} to {MAX_LENGTH} characters"
        ));
    }
    if password.chars().any(|c| c == '\0') {
        return Err("a password can't hold a null character".to_owned());
    }
    let lower = password.to_lowercase();
    let name = email.split('@').next().unwrap_or(email);
    let first = lower.chars().next();
    if COMMON.contains(&lower.as_str()) || lower.chars().all(|c| Some(c) == first) {
        return Err("this password is among the first that are tried; take another".to_owned());
    }
    if lower == email || lower == name {
        return Err("the e-mail address is no password; take another".to_owned());
    }
    Ok(())
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Hashes a password.
    pub(crate) async fn hash(&self, password: &Secret<String>) -> Result<PasswordHash, Error> {
        let password = password.clone();
        self.compute(move || {
            Argon2::default()
                .hash_password(password.expose().as_bytes())
                .map(|hash| Secret::new(hash.to_string()))
                .map_err(|_| Error::Hashing)
        })
        .await?
    }

    /// Whether `password` is the one behind `hash`. Without a hash it takes as long and answers no, so that
    /// nobody learns from the time who has an account.
    pub(crate) async fn verify(
        &self,
        password: &Secret<String>,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, Error> {
        if password.expose().len() > MAX_LENGTH * 4 {
            return Ok(false);
        }
        let (password, hash) = (password.clone(), hash.cloned());
        self.compute(move || {
            let password = password.expose().as_bytes();
            match &hash {
                Some(hash) => Phc::new(hash.expose())
                    .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
                None => {
                    let _ = Argon2::default().hash_password(password);
                    false
                }
            }
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let Ok(_place) = self.waiting.try_acquire() else {
            metrics::counter!("streamr_password_queue_full_total").increment(1);
            return Err(Error::Busy);
        };
        let _turn = self.at_once.acquire().await.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Error::Hashing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_accepted() {
        let passwords = Passwords::new();
        let password = Secret::new("correct horse".to_owned());
        let hash = passwords.hash(&password).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$"));
        assert!(passwords.verify(&password, Some(&hash)).await.unwrap());
        let wrong = Secret::new("correct hors".to_owned());
        assert!(!passwords.verify(&wrong, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&password, None).await.unwrap());
    }

    #[test]
    fn passwords_that_are_guessed_first_are_refused() {
        for bad in [
            "short",
            "password",
            "PassWord123",
            "aaaaaaaaaa",
            "ana@example.org",
            &"x".repeat(129),
            "nul\0nul\0nul",
        ] {
            assert!(check(bad, "ana@example.org").is_err(), "{bad}");
        }
        for good in ["correct horse battery staple", "žluťoučký kůň", "x7#kQ!mz"] {
            assert_eq!(check(good, "ana@example.org"), Ok(()), "{good}");
        }
    }
}
