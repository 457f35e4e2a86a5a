//! Who may see and watch a stream, and playback tokens for them.

use auth::{PlaybackClaims, ReceiptKey};
use storage::{PlaybackSession, ShareLink, Stream};
use time::OffsetDateTime;
use types::{Secret, SessionId, ShareLinkId, Visibility};

use crate::{
    Error,
    accounts::{Accounts, Standing, sent_secret},
    keys::Purpose,
};

/// What somebody may do with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// Everything: it is theirs.
    Owner,
    /// See it and end it: they run the server.
    Admin,
    /// Watch it: they hold a share link.
    Shared(ShareLinkId),
    /// What everybody may.
    Anyone,
}

impl Right {
    /// Whether what only its owner should know may be told: its key's age, its health.
    pub(crate) fn is_owner(self) -> bool {
        self == Self::Owner
    }
}

impl Accounts {
    /// What the caller may do with a stream; `None`: it is as if it weren't there.
    pub(crate) async fn right_on(
        &self,
        stream: &Stream,
        caller: Option<&Standing>,
        share: Option<&str>,
    ) -> Result<Option<Right>, Error> {
        if let Some(caller) = caller {
            if stream.owner == Some(caller.user) {
                return Ok(Some(Right::Owner));
            }
            // Before there was an account, streams were nobody's.
            if caller.is_admin() {
                let orphan = stream.owner.is_none();
                return Ok(Some(if orphan { Right::Owner } else { Right::Admin }));
            }
        }
        if let Some(link) = self.shared(stream, share).await? {
            return Ok(Some(Right::Shared(link.id)));
        }
        let open = !stream.is_restricted() && stream.state != types::StreamState::Archived;
        Ok(open.then_some(Right::Anyone))
    }

    async fn shared(
        &self,
        stream: &Stream,
        share: Option<&str>,
    ) -> Result<Option<ShareLink>, Error> {
        let Some(secret) = share.and_then(sent_secret) else {
            return Ok(None);
        };
        let hash = self
            .keys
            .hash_secret(Purpose::Share, secret.expose().as_bytes());
        let link = self.database.shares().by_secret(hash).await?;
        let link = link.filter(|link| link.stream == stream.id);
        // A rehearsal is for its owner's eyes, whoever holds a link.
        Ok(link.filter(|_| stream.state != types::StreamState::Testing))
    }

    /// Opens a playback session for somebody with `right`, whose page signs receipts with `receipt_key`. Answers
    /// its id and its token.
    pub(crate) async fn open_session(
        &self,
        stream: &Stream,
        right: Right,
        caller: Option<&Standing>,
        receipt_key: Option<ReceiptKey>,
    ) -> Result<(SessionId, Secret<String>), Error> {
        let link = match right {
            Right::Shared(link) => Some(link),
            Right::Admin if stream.is_restricted() => {
                return Err(Error::Forbidden(
                    "who runs the server doesn't watch private streams; ask the owner for a share link",
                ));
            }
            Right::Owner | Right::Admin | Right::Anyone => None,
        };
        let session = SessionId::new();
        let now = OffsetDateTime::now_utc();
        // Sessions that may have to be revoked are kept; those on public streams are nobody's business.
        if stream.is_restricted() || stream.visibility == Visibility::Private {
            let opened = PlaybackSession {
                id: session,
                link,
                user: caller.map(|caller| caller.user),
                issued_at: now.replace_nanosecond(0).unwrap_or(now),
            };
            self.database.shares().open(stream.id, &opened).await?;
        }
        let token = self.signing.sign_playback(PlaybackClaims {
            session,
            stream: stream.id,
            link,
            receipt_key,
            node: None,
            issued_at: auth::UnixTime(now.unix_timestamp()),
        })?;
        Ok((session, token))
    }
}
