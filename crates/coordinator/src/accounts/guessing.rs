//! Slowing down who guesses, without locking out who owns.
//!
//! Wrong passwords are counted per address, and per account over all addresses. An address that guesses is
//! refused for a while; an account that is guessed at answers strangers late. A browser that logged in
//! before carries a device cookie and is counted by it alone: whatever others do, its owner gets in.

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cache::Cache;
use subtle::ConstantTimeEq;
use types::UserId;

use crate::{Error, KeyRing, keys::Purpose};

/// Wrong passwords from one address, or from one known device, within [`WINDOW`].
const PER_ADDRESS: u32 = 10;
/// Wrong passwords for one account from strangers before they are answered late.
const PER_ACCOUNT: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// How late, in seconds.
const LATE: std::ops::Range<f64> = 1.0..3.0;
/// Bytes of a device's name.
const DEVICE_BYTES: usize = 16;

/// Counts and slows down. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guessing {
    cache: Cache,
    keys: KeyRing,
}

/// Who tries.
pub(crate) struct Attempt {
    origin: String,
    account: Option<String>,
}

impl Guessing {
    pub(crate) fn new(cache: Cache, keys: KeyRing) -> Self {
        Self { cache, keys }
    }

    /// What a browser that logged in as `user` carries from now on.
    pub(crate) fn device_cookie(&self, user: UserId) -> String {
        let device: [u8; DEVICE_BYTES] = rand::random();
        let device = URL_SAFE_NO_PAD.encode(device);
        format!("{device}.{}", self.signature(user, &device))
    }

    fn signature(&self, user: UserId, device: &str) -> String {
        let signed = format!("{user}/{device}");
        let hash = self.keys.hash_secret(Purpose::Device, signed.as_bytes());
        URL_SAFE_NO_PAD.encode(hash.0)
    }

    /// Begins an attempt on the account behind `email`, which is `user` if there is one. Waits, or refuses.
    pub(crate) async fn begin(
        &self,
        address: IpAddr,
        email: &str,
        user: Option<UserId>,
        cookie: Option<&str>,
    ) -> Result<Attempt, Error> {
        let known = user.zip(cookie).and_then(|(user, cookie)| {
            let (device, signature) = cookie.split_once('.')?;
            let expected = self.signature(user, device);
            bool::from(expected.as_bytes().ct_eq(signature.as_bytes())).then_some(device)
        });
        let attempt = match known {
            Some(device) => Attempt {
                origin: format!("guess/device/{device}"),
                account: None,
            },
            None => Attempt {
                origin: format!("guess/address/{}", prefix(address)),
                account: Some(format!("guess/account/{email}")),
            },
        };
        if self.cache.hits(&attempt.origin).await >= PER_ADDRESS {
            refused("address");
            return Err(Error::RateLimited {
                retry_after: WINDOW,
            });
        }
        if let Some(account) = &attempt.account
            && self.cache.hits(account).await >= PER_ACCOUNT
        {
            metrics::counter!("streamr_login_slowed_total").increment(1);
            tracing::debug!("log-in answered late: its account is guessed at");
            let late = Duration::from_secs_f64(rand::random_range(LATE));
            tokio::time::sleep(late).await;
        }
        Ok(attempt)
    }

    /// The attempt was wrong.
    pub(crate) async fn failed(&self, attempt: &Attempt) -> Result<(), Error> {
        metrics::counter!("streamr_login_failed_total").increment(1);
        tracing::debug!("wrong password or code");
        self.cache.hit(&attempt.origin, WINDOW).await?;
        if let Some(account) = &attempt.account {
            self.cache.hit(account, WINDOW).await?;
        }
        Ok(())
    }
}

/// Counts a log-in that is refused: its `address` guesses, its account is `banned`, or it is `over`.
pub(crate) fn refused(reason: &'static str) {
    metrics::counter!("streamr_login_refused_total", "reason" => reason).increment(1);
    tracing::debug!(reason, "log-in refused");
}

/// What one household or machine has: an IPv4 address, or an IPv6 /64.
pub(crate) fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTACKER: &str = "192.0.2.1";

    fn guessing() -> Guessing {
        let folder = tempfile::tempdir().unwrap();
        Guessing::new(Cache::memory(), KeyRing::open(folder.path(), None).unwrap())
    }

    async fn guess(guessing: &Guessing, address: &str, user: UserId, cookie: Option<&str>) -> bool {
        let address = address.parse().unwrap();
        match guessing
            .begin(address, "ana@example.org", Some(user), cookie)
            .await
        {
            Ok(attempt) => {
                guessing.failed(&attempt).await.unwrap();
                true
            }
            Err(_) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_guesses_is_refused_for_a_while() {
        let (guessing, user) = (guessing(), UserId::new());
        for _ in 0..PER_ADDRESS {
            assert!(guess(&guessing, ATTACKER, user, None).await);
        }
        assert!(!guess(&guessing, ATTACKER, user, None).await);
        assert!(
            guess(&guessing, "192.0.2.2", user, None).await,
            "another address"
        );
        tokio::time::advance(WINDOW).await;
        assert!(guess(&guessing, ATTACKER, user, None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_owner_s_device_is_not_locked_out_by_others() {
        let (guessing, user) = (guessing(), UserId::new());
        let cookie = guessing.device_cookie(user);
        for host in 1..100 {
            guess(&guessing, &format!("192.0.2.{host}"), user, None).await;
        }
        for _ in 0..20 {
            guess(&guessing, ATTACKER, user, None).await;
        }
        let began = tokio::time::Instant::now();
        assert!(
            guess(&guessing, ATTACKER, user, Some(&cookie)).await,
            "even from the same address"
        );
        assert_eq!(began.elapsed(), Duration::ZERO, "and at once");
        let forged = format!("{cookie}x");
        assert!(!guess(&guessing, ATTACKER, user, Some(&forged)).await);
        assert!(
            !guess(&guessing, ATTACKER, UserId::new(), Some(&cookie)).await,
            "another's account"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_is_guessed_at_answers_strangers_late_but_answers() {
        let (guessing, user) = (guessing(), UserId::new());
        for host in 1..=PER_ACCOUNT {
            guess(&guessing, &format!("192.0.2.{host}"), user, None).await;
        }
        let began = tokio::time::Instant::now();
        assert!(guess(&guessing, "198.51.100.1", user, None).await);
        assert!(began.elapsed() >= Duration::from_secs(1));
    }
}
