//! Making an account: open, by invitation, or not at all.

use storage::{NewUser, StorageError};
use types::{Registration, Role, Secret};

use super::{Accounts, Request, password, sent_secret};
use crate::{Error, keys::Purpose};

/// What somebody sends to have an account.
pub(crate) struct Application {
    pub(crate) email: String,
    pub(crate) password: Secret<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) invitation: Option<String>,
}

/// The name of somebody who gave none: what stands before the `@`.
pub(crate) fn name_of(given: Option<&str>, email: &str) -> String {
    let fallback = email.split('@').next().unwrap_or(email);
    given
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .unwrap_or(fallback)
        .to_owned()
}

impl Accounts {
    /// Makes the account, if that may be. An address that has one already is answered just the same: nobody
    /// can ask who is registered here. Answers the address.
    pub(crate) async fn register(
        &self,
        application: Application,
        request: &Request,
    ) -> Result<String, Error> {
        let email = super::email(&application.email).ok_or_else(|| {
            Error::field("email", "write an e-mail address, such as ana@example.org")
        })?;
        password::check(application.password.expose(), &email)
            .map_err(|problem| Error::field("password", &problem))?;
        let invitation = self
            .invited(application.invitation.as_deref(), &email)
            .await?;
        let hash = self.passwords.hash(&application.password).await?;
        if let Some(invitation) = &invitation
            && !self.database.links().use_invitation(invitation.id).await?
        {
            return Err(Error::Forbidden(USED));
        }
        let new = NewUser {
            display_name: name_of(application.display_name.as_deref(), &email),
            email: email.clone(),
            password: hash,
            role: invitation.map_or(Role::Streamer, |invitation| invitation.role),
        };
        match self
            .database
            .users()
            .create(new, request.audit("user.registered"))
            .await
        {
            Ok(_) => {}
            Err(StorageError::EmailTaken) => {
                metrics::counter!("streamr_register_taken_total").increment(1);
                tracing::debug!("an address was registered that has an account");
                self.mailer.registered_already(&email);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(email)
    }

    async fn invited(
        &self,
        secret: Option<&str>,
        email: &str,
    ) -> Result<Option<storage::Invitation>, Error> {
        match (self.settings.registration(), secret) {
            (Registration::Closed, _) => Err(Error::Forbidden(
                "nobody can make an account here; ask who runs this server",
            )),
            (Registration::Open, None) => Ok(None),
            (Registration::Invitation, None) => Err(Error::Forbidden(
                "accounts are made by invitation here; open the link you were sent",
            )),
            (_, Some(secret)) => {
                let secret = sent_secret(secret).ok_or(Error::Forbidden(USED))?;
                let hash = self
                    .keys
                    .hash_secret(Purpose::Invitation, secret.expose().as_bytes());
                let invitation = self.database.links().invitation(hash).await?;
                let good = invitation.filter(|invitation| {
                    let open = invitation.used_at.is_none()
                        && invitation.expires_at > time::OffsetDateTime::now_utc();
                    open && invitation.email.as_deref().is_none_or(|only| only == email)
                });
                good.map(Some).ok_or(Error::Forbidden(USED))
            }
        }
    }
}

const USED: &str = "this invitation is used, over, or for another address; ask for a new one";
