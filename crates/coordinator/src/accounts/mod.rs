//! Accounts: who people are, how they prove it, and how guessing is slowed down.
//!
//! Owns passwords, log-ins, access tokens, two-factor codes and the links that set them up. Knows nothing
//! of HTTP: `rest` turns requests into these calls, and answers into responses.

mod guessing;
mod login;
mod mail;
mod owner;
mod password;
mod recover;
mod register;
mod signing;
mod standing;
mod totp;

use std::net::IpAddr;

use cache::Cache;
use storage::Database;
use types::Secret;

pub(crate) use guessing::{Guessing, prefix, refused};
pub(crate) use login::{ACCESS_LIFETIME, Credentials, LoggedIn, Request};
pub(crate) use mail::{Mailer, Postman};
pub use owner::{SetupLink, bootstrap_owner, owner_reset_link, setup_link};
pub(crate) use password::{Passwords, check as check_password};
pub(crate) use register::Application;
pub(crate) use signing::{REFRESH as KEYS_REFRESH, Signing, now};
pub(crate) use standing::{Standing, Standings};
pub(crate) use totp::Proposal;

use crate::{KeyRing, settings::RuntimeSettings};

/// Everything about accounts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(crate) database: Database,
    pub(crate) keys: KeyRing,
    pub(crate) passwords: Passwords,
    pub(crate) signing: Signing,
    pub(crate) standings: Standings,
    pub(crate) guessing: Guessing,
    pub(crate) mailer: Mailer,
    pub(crate) settings: RuntimeSettings,
}

impl Accounts {
    pub(crate) fn new(
        database: Database,
        keys: KeyRing,
        signing: Signing,
        cache: Cache,
        mailer: Mailer,
        settings: RuntimeSettings,
    ) -> Self {
        Self {
            passwords: Passwords::new(),
            standings: Standings::new(database.clone()),
            guessing: Guessing::new(cache, keys.clone()),
            signing,
            database,
            keys,
            mailer,
            settings,
        }
    }
}

/// An address without its last part: enough to recognise where one logged in from, not to find anybody.
pub(crate) fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// An e-mail address as it is compared and kept; `None` when it can't be one (RFC 5321 §4.1.2, without
/// what nobody uses: quotes and address literals).
pub(crate) fn email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    let fits = text.len() <= 254 && (1..=64).contains(&local.len()) && !domain.is_empty();
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"\"(),:;<>@[\\]".contains(c);
    let labels = domain.split('.').all(|label| {
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    let dots = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    (fits && local.chars().all(plain) && labels && dots).then_some(text)
}

/// A secret as it was sent, if it can be one of ours: URL-safe, and not endless.
pub(crate) fn sent_secret(text: &str) -> Option<Secret<String>> {
    let fits = (16..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fits.then(|| Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_last_part() {
        assert_eq!(network("192.0.2.77".parse().unwrap()), "192.0.2.0/24");
        assert_eq!(
            network("::ffff:192.0.2.77".parse().unwrap()),
            "192.0.2.0/24"
        );
        assert_eq!(
            network("2001:db8:1:2::9".parse().unwrap()),
            "2001:db8:1::/48"
        );
    }

    #[test]
    fn e_mail_addresses_are_recognised() {
        for good in [
            "ana@example.org",
            " Ana.B+live@Example.ORG ",
            "o'neil@example.org",
            "a@localhost",
        ] {
            assert_eq!(email(good), Some(good.trim().to_lowercase()), "{good}");
        }
        for bad in [
            "",
            "ana",
            "@example.org",
            "ana@",
            "a b@example.org",
            "a@@b.org",
            "a@b..org",
            "a@-b.org",
            ".a@b.org",
            "a\n@b.org",
            "a,b@c.org",
        ] {
            assert_eq!(email(bad), None, "{bad}");
        }
        assert_eq!(email(&format!("{}@example.org", "x".repeat(65))), None);
    }
}
