//! What a user may do right now: the account behind a token, as the database has it, a second old at most.

use std::{sync::Arc, time::Duration};

use auth::AccessClaims;
use moka::sync::Cache;
use storage::{Database, User};
use types::{LoginId, Role, UserId};

use crate::Error;

/// How long what was read is believed: bans and ended log-ins take effect within it.
const BELIEVED: Duration = Duration::from_secs(1);
/// Log-ins remembered; the least used make room.
const REMEMBERED: u64 = 20_000;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) user: UserId,
    pub(crate) login: LoginId,
    pub(crate) role: Role,
    pub(crate) display_name: String,
}

impl Standing {
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

/// Looks accounts up. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Standings {
    database: Database,
    known: Cache<(LoginId, i64), Option<Arc<Standing>>>,
}

impl Standings {
    pub(crate) fn new(database: Database) -> Self {
        let known = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(BELIEVED)
            .build();
        Self { database, known }
    }

    /// Who a verified token stands for; `None` when its log-in or account is over.
    pub(crate) async fn of(&self, claims: &AccessClaims) -> Result<Option<Arc<Standing>>, Error> {
        let key = (claims.login, claims.issued_at.0);
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        let standing = self.look_up(claims).await?.map(Arc::new);
        self.known.insert(key, standing.clone());
        Ok(standing)
    }

    /// Forgets what is believed: something changed here.
    pub(crate) fn forget(&self) {
        self.known.invalidate_all();
    }

    async fn look_up(&self, claims: &AccessClaims) -> Result<Option<Standing>, Error> {
        let Some(user) = self.database.users().by_id(claims.user).await? else {
            return Ok(None);
        };
        // Tokens count whole seconds: one issued in the second of a log-out counts as before it, unless the
        // log-in itself came after.
        if !is_active(&user) || claims.issued_at.0 < user.valid_from.unix_timestamp() {
            return Ok(None);
        }
        let login = self.database.logins().get(claims.login).await?;
        let lasts = login.is_some_and(|login| login.user == user.id && login.revoked_at.is_none());
        Ok(lasts.then_some(Standing {
            user: user.id,
            login: claims.login,
            role: user.role,
            display_name: user.display_name,
        }))
    }
}

/// Whether the account is neither banned nor deleted.
pub(crate) fn is_active(user: &User) -> bool {
    user.banned_at.is_none() && user.deleted_at.is_none()
}
