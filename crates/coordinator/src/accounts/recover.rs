//! A forgotten password: a link by mail, or from an admin.

use storage::LinkPurpose;
use time::{Duration, OffsetDateTime};
use types::{Secret, UserId};

use super::{Accounts, Request, password, sent_secret, standing::is_active};
use crate::{
    Error,
    keys::{Purpose, random_secret},
};

/// How long a reset link is good for.
const LIFETIME: Duration = Duration::hours(1);

impl Accounts {
    /// Sends a link to whoever has an account under this address; says nothing about who has.
    pub(crate) async fn forgot(
        &self,
        email: &str,
        link: impl Fn(&str) -> String,
        request: &Request,
    ) -> Result<(), Error> {
        let Some(email) = super::email(email) else {
            return Err(Error::field(
                "email",
                "write an e-mail address, such as ana@example.org",
            ));
        };
        let user = self.database.users().by_email(&email).await?;
        if let Some(user) = user.filter(is_active) {
            let mut entry = request.audit("password.forgotten");
            entry.subject = Some(format!("user/{}", user.id));
            if self.mailer.is_set() {
                let (secret, _) = self.reset_secret(user.id, entry).await?;
                self.mailer.reset(&email, &link(secret.expose()));
            } else {
                self.database.audit().add(entry).await?;
            }
        }
        Ok(())
    }

    /// A new secret that resets `user`'s password, and until when.
    pub(crate) async fn reset_secret(
        &self,
        user: UserId,
        entry: storage::NewAudit,
    ) -> Result<(Secret<String>, OffsetDateTime), Error> {
        let secret = random_secret();
        let hash = self
            .keys
            .hash_secret(Purpose::Link, secret.expose().as_bytes());
        let expires_at = self
            .database
            .links()
            .create(LinkPurpose::Reset, Some(user), hash, LIFETIME, Some(entry))
            .await?;
        Ok((secret, expires_at))
    }

    /// Sets a new password by a link, which ends every log-in.
    pub(crate) async fn reset(
        &self,
        token: &str,
        new: &Secret<String>,
        request: &Request,
    ) -> Result<(), Error> {
        let over = || Error::field("token", "this link was used or is over; ask for a new one");
        let secret = sent_secret(token).ok_or_else(over)?;
        let hash = self
            .keys
            .hash_secret(Purpose::Link, secret.expose().as_bytes());
        let links = self.database.links();
        if !links.is_good(LinkPurpose::Reset, hash).await? {
            metrics::counter!("streamr_bad_links_total").increment(1);
            tracing::debug!("a one-time link that is not good");
            return Err(over());
        }
        // The password is looked at before the link is used up: whoever mistypes may try again.
        password::check(new.expose(), "").map_err(|problem| Error::field("password", &problem))?;
        let password = self.passwords.hash(new).await?;
        let user = links.take(LinkPurpose::Reset, hash).await?.flatten();
        let user = user.ok_or_else(over)?;
        let mut entry = request.audit("password.reset");
        entry.subject = Some(format!("user/{user}"));
        self.database
            .users()
            .set_password(user, &password, None, entry)
            .await?;
        self.standings.forget();
        Ok(())
    }
}
