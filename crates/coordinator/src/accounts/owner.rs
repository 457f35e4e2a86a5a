//! The first account: made through a one-time link that the terminal shows, or from the configuration.

use runtime::config::{Bootstrap, ConfigError};
use storage::{Database, LinkPurpose, NewAudit, NewUser};
use time::Duration;
use types::{Role, Secret};

use super::{
    Accounts, Passwords, Request, login::LoggedIn, password, register::name_of, sent_secret,
};
use crate::{
    Error, KeyRing,
    bootstrap::BootstrapError,
    keys::{Purpose, random_secret},
};

/// How long the link is good for; the next start shows another.
const LIFETIME: Duration = Duration::hours(24);
/// How long a link to reset the owner's password is good for.
const RESET_LIFETIME: Duration = Duration::hours(1);

/// The secret of a one-time link, to be shown once.
#[derive(Debug)]
pub struct SetupLink(Secret<String>);

impl SetupLink {
    /// Where the owner opens it, on the pages at `base`.
    pub fn url(&self, base: &str) -> String {
        format!("{}/setup#{}", base.trim_end_matches('/'), self.0.expose())
    }

    /// Where the owner resets a password with it, on the pages at `base`.
    pub fn reset_url(&self, base: &str) -> String {
        format!("{}/reset#{}", base.trim_end_matches('/'), self.0.expose())
    }
}

/// A new link to make the owner's account; `None` when there is one.
pub async fn setup_link(database: &Database, keys: &KeyRing) -> Result<Option<SetupLink>, Error> {
    if database.users().owner().await?.is_some() {
        return Ok(None);
    }
    let secret = random_secret();
    let hash = keys.hash_secret(Purpose::Link, secret.expose().as_bytes());
    database
        .links()
        .create(LinkPurpose::Setup, None, hash, LIFETIME, None)
        .await?;
    Ok(Some(SetupLink(secret)))
}

/// A new link to reset the owner's password, and the owner's address; `None` when there is no owner.
pub async fn owner_reset_link(
    database: &Database,
    keys: &KeyRing,
) -> Result<Option<(SetupLink, String)>, Error> {
    let Some(owner) = database.users().owner().await? else {
        return Ok(None);
    };
    let secret = random_secret();
    let hash = keys.hash_secret(Purpose::Link, secret.expose().as_bytes());
    let mut entry = NewAudit::new("password.link");
    entry.subject = Some(format!("user/{}", owner.id));
    let links = database.links();
    links
        .create(
            LinkPurpose::Reset,
            Some(owner.id),
            hash,
            RESET_LIFETIME,
            Some(entry),
        )
        .await?;
    Ok(Some((SetupLink(secret), owner.email.unwrap_or_default())))
}

/// Makes the owner's account from the configuration, if it names one and there is none.
pub async fn bootstrap_owner(
    database: &Database,
    section: &Bootstrap,
) -> Result<bool, BootstrapError> {
    let (address, secret) = match (&section.email, &section.password) {
        (None, None) => return Ok(false),
        (Some(email), Some(password)) => (email, password),
        _ => {
            return Err(ConfigError::secret(
                "bootstrap.password",
                "bootstrap.email and bootstrap.password go together; set both or neither",
            )
            .into());
        }
    };
    let email = super::email(address).ok_or_else(|| {
        ConfigError::key(
            "bootstrap.email",
            address,
            "write an e-mail address, such as ana@example.org",
        )
    })?;
    if database
        .users()
        .owner()
        .await
        .map_err(Error::from)?
        .is_some()
    {
        return Ok(false);
    }
    password::check(secret.expose(), &email)
        .map_err(|problem| ConfigError::secret("bootstrap.password", problem))?;
    let new = NewUser {
        display_name: name_of(None, &email),
        email,
        password: Passwords::new().hash(secret).await?,
        role: Role::Admin,
    };
    let entry = NewAudit::new("setup.completed");
    let made = database.users().create_owner(new, entry).await;
    Ok(made.map_err(Error::from)?.is_some())
}

impl Accounts {
    /// Whether there is no owner yet.
    pub(crate) async fn setup_required(&self) -> Result<bool, Error> {
        Ok(self.database.users().owner().await?.is_none())
    }

    /// Makes the owner's account with the link's secret, and logs in.
    pub(crate) async fn set_up(
        &self,
        token: &str,
        address: &str,
        secret: &Secret<String>,
        display_name: Option<&str>,
        request: &Request,
    ) -> Result<LoggedIn, Error> {
        let over = || {
            Error::field(
                "token",
                "this link was used or is over; restart Streamr, or run `streamr admin setup-link`, for a new one",
            )
        };
        let token = sent_secret(token).ok_or_else(over)?;
        let hash = self
            .keys
            .hash_secret(Purpose::Link, token.expose().as_bytes());
        let links = self.database.links();
        if !links.is_good(LinkPurpose::Setup, hash).await? {
            metrics::counter!("streamr_bad_links_total").increment(1);
            tracing::debug!("a one-time link that is not good");
            return Err(over());
        }
        let email = super::email(address).ok_or_else(|| {
            Error::field("email", "write an e-mail address, such as ana@example.org")
        })?;
        password::check(secret.expose(), &email)
            .map_err(|problem| Error::field("password", &problem))?;
        let password = self.passwords.hash(secret).await?;
        if links.take(LinkPurpose::Setup, hash).await?.is_none() {
            return Err(over());
        }
        let new = NewUser {
            display_name: name_of(display_name, &email),
            email,
            password,
            role: Role::Admin,
        };
        let entry = request.audit("setup.completed");
        let owner = self.database.users().create_owner(new, entry).await?;
        let owner = owner.ok_or(Error::Conflict("this server has an owner already; log in"))?;
        self.begin(owner, request, "login.succeeded").await
    }
}
