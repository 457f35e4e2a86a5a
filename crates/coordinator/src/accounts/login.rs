//! Logging in, refreshing, logging out.

use std::net::IpAddr;

use auth::{AccessClaims, Kind};
use storage::{Login, NewAudit, NewLogin, Rotation, User};
use time::Duration;
use types::{LoginId, Secret, UserId};

use super::{
    Accounts, Standing,
    guessing::{Attempt, refused},
    network, signing,
    standing::is_active,
};
use crate::{
    Error,
    keys::{Purpose, random_secret},
};

/// How long a log-in lasts that is not refreshed.
pub(crate) const LIFETIME: Duration = Duration::days(7);
/// What is kept of a browser's name, in characters.
const USER_AGENT: usize = 200;

/// From where a request comes.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) address: IpAddr,
    pub(crate) user_agent: String,
    /// The device cookie, if the browser has one.
    pub(crate) device: Option<String>,
}

impl Request {
    /// An audit entry of something done from here.
    pub(crate) fn audit(&self, action: &'static str) -> NewAudit {
        NewAudit {
            network: Some(network(self.address)),
            ..NewAudit::new(action)
        }
    }

    /// The same, by somebody who is logged in.
    pub(crate) fn audit_by(&self, standing: &Standing, action: &'static str) -> NewAudit {
        NewAudit {
            actor: Some(standing.user),
            ..self.audit(action)
        }
    }
}

/// What proves who somebody is.
pub(crate) struct Credentials {
    pub(crate) email: String,
    pub(crate) password: Secret<String>,
    pub(crate) totp: Option<String>,
}

/// A log-in that began or went on.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub(crate) user: User,
    pub(crate) access: Secret<String>,
    pub(crate) refresh: Secret<String>,
    pub(crate) device: Option<String>,
}

impl Accounts {
    /// Logs in with what was sent.
    pub(crate) async fn log_in(
        &self,
        credentials: Credentials,
        request: &Request,
    ) -> Result<LoggedIn, Error> {
        // What is no address has no account; it takes as long to say so.
        let email = super::email(&credentials.email).unwrap_or_default();
        let user = self.database.users().by_email(&email).await?;
        let id = user.as_ref().map(|user| user.id);
        let cookie = request.device.as_deref();
        let attempt = self
            .guessing
            .begin(request.address, &email, id, cookie)
            .await?;
        let hash = user.as_ref().and_then(|user| user.password.as_ref());
        let right = self.passwords.verify(&credentials.password, hash).await?;
        let Some(user) = user.filter(|_| right) else {
            self.refuse(&attempt, id, request).await?;
            return Err(Error::WrongPassword);
        };
        if user.totp_enabled {
            let Some(code) = credentials.totp else {
                return Err(Error::TotpRequired("send the code of your authenticator"));
            };
            if !self.check_second_factor(&user, &code).await? {
                self.refuse(&attempt, id, request).await?;
                return Err(Error::TotpRequired(
                    "the code is wrong, or was used already; wait for the next one",
                ));
            }
        }
        if !is_active(&user) {
            refused("banned");
            return Err(Error::Banned);
        }
        self.begin(user, request, "login.succeeded").await
    }

    async fn refuse(
        &self,
        attempt: &Attempt,
        user: Option<UserId>,
        request: &Request,
    ) -> Result<(), Error> {
        self.guessing.failed(attempt).await?;
        let mut entry = request.audit("login.failed");
        entry.subject = user.map(|user| format!("user/{user}"));
        Ok(self.database.audit().add(entry).await?)
    }

    /// Begins a log-in of somebody who proved who he is.
    pub(crate) async fn begin(
        &self,
        user: User,
        request: &Request,
        action: &'static str,
    ) -> Result<LoggedIn, Error> {
        let refresh = random_secret();
        let mut entry = request.audit(action);
        entry.actor = Some(user.id);
        entry.subject = Some(format!("user/{}", user.id));
        let new = NewLogin {
            user: user.id,
            user_agent: printable(&request.user_agent),
            network: network(request.address),
            token: self.refresh_hash(&refresh),
            lifetime: LIFETIME,
        };
        let login = self.database.logins().create(new, entry).await?;
        Ok(LoggedIn {
            access: self.access_token(&user, login.id)?,
            device: Some(self.guessing.device_cookie(user.id)),
            refresh,
            user,
        })
    }

    /// Goes on with a log-in: the refresh token is exchanged for the next.
    pub(crate) async fn refresh(&self, token: &str) -> Result<LoggedIn, Error> {
        let used = super::sent_secret(token).ok_or(Error::LoggedOut)?;
        let next = random_secret();
        let rotation = self
            .database
            .logins()
            .rotate(self.refresh_hash(&used), self.refresh_hash(&next), LIFETIME)
            .await?;
        let login: Login = match rotation {
            Rotation::Rotated(login) => login,
            Rotation::Reused(login) => {
                metrics::counter!("streamr_refresh_reused_total").increment(1);
                tracing::warn!(login_id = %login, "a refresh token was used twice: its log-in is over");
                self.standings.forget();
                return Err(Error::LoggedOut);
            }
            Rotation::Refused => {
                refused("over");
                return Err(Error::LoggedOut);
            }
        };
        let user = self.database.users().by_id(login.user).await?;
        let user = user.filter(is_active).ok_or(Error::LoggedOut)?;
        Ok(LoggedIn {
            access: self.access_token(&user, login.id)?,
            refresh: next,
            device: None,
            user,
        })
    }

    /// Ends the log-in that a refresh token belongs to; one that is over already is no error.
    pub(crate) async fn log_out(&self, token: &str, request: &Request) -> Result<(), Error> {
        let Some(token) = super::sent_secret(token) else {
            return Ok(());
        };
        let logins = self.database.logins();
        if let Some(login) = logins.by_token(self.refresh_hash(&token)).await? {
            let mut entry = request.audit("logout");
            entry.actor = Some(login.user);
            entry.subject = Some(format!("user/{}", login.user));
            logins.end(login.user, login.id, entry).await?;
            self.standings.forget();
        }
        Ok(())
    }

    /// Whether `password` is the caller's: asked again before what can't be undone. Guesses count.
    pub(crate) async fn confirm(
        &self,
        standing: &Standing,
        password: &Secret<String>,
        request: &Request,
    ) -> Result<User, Error> {
        let user = self.database.users().by_id(standing.user).await?;
        let user = user.ok_or(Error::LoggedOut)?;
        let email = user.email.clone().unwrap_or_default();
        let attempt = self
            .guessing
            .begin(
                request.address,
                &email,
                Some(user.id),
                request.device.as_deref(),
            )
            .await?;
        if !self
            .passwords
            .verify(password, user.password.as_ref())
            .await?
        {
            self.refuse(&attempt, Some(user.id), request).await?;
            return Err(Error::field("password", "this is not your password"));
        }
        Ok(user)
    }

    fn access_token(&self, user: &User, login: LoginId) -> Result<Secret<String>, Error> {
        self.signing.sign_access(AccessClaims {
            user: user.id,
            login,
            role: user.role,
            issued_at: signing::now(),
        })
    }

    fn refresh_hash(&self, token: &Secret<String>) -> storage::SecretHash {
        self.keys
            .hash_secret(Purpose::Refresh, token.expose().as_bytes())
    }
}

/// How long an access token is good for.
pub(crate) const ACCESS_LIFETIME: std::time::Duration = AccessClaims::LIFETIME;

fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(USER_AGENT)
        .collect()
}
