//! Who may have what: tokens open, sessions go on, and everybody has what is public.
//!
//! Three kinds of URLs. What *opens* (multivariants, FLV) asks for a token while the stream is restricted,
//! and verifies one that is given anyhow. What is *inside a session* goes by the session that was opened.
//! What is *public* (objects at everybody's URL) isn't there while the stream is restricted. Whoever shows
//! no right is answered the same whether there is such a stream or not: names of private streams can be
//! guessed, and are nobody's business.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use auth::{PlaybackClaims, TokenError, UnixTime, verify};
use axum::http::StatusCode;
use types::{SessionId, Slug};

use super::{
    Streams,
    answer::{self, Refusal},
};
use crate::Stream;

const UNKNOWN: &str = "no such live stream, or it is private: a link with a token opens it";
const NOT_FOR_THIS: &str = "this token opens another stream, or one that is not live now; open the watch page, or ask for a new link";
const REVOKED: &str = "this session was ended by the stream's owner; ask for a new link";
const CLOSED: &str = "nothing to see here: the stream is not live, or it is private and this session is over; open its index.m3u8 again, with a token if it is private";
const FULL: &str = "too many viewers hold tokens of this stream here; try again later";
const NO_KEYS: &str = "tokens can't be verified yet; try again";

/// What a request opened.
pub(super) struct Opened {
    pub(super) stream: Arc<Stream>,
    /// The session that its token names.
    pub(super) session: Option<SessionId>,
    /// The token is a friend's node's, which is no viewer.
    is_node: bool,
}

pub(super) fn refused(reason: &'static str) {
    metrics::counter!("streamr_playback_refused_total", "protocol" => "http", "reason" => reason)
        .increment(1);
    tracing::debug!(protocol = "http", reason, "viewer refused");
}

fn forbid(reason: &'static str, text: &'static str) -> Refusal {
    refused(reason);
    answer::refuse(StatusCode::FORBIDDEN, text)
}

fn unknown() -> Refusal {
    metrics::counter!("streamr_unknown_plays_total", "protocol" => "http").increment(1);
    tracing::debug!(protocol = "http", reason = "unknown", "viewer refused");
    answer::refuse(StatusCode::NOT_FOUND, UNKNOWN)
}

fn find(catalog: &Streams, name: &str) -> Option<Arc<Stream>> {
    let slug: Slug = name.parse().ok()?;
    catalog.stream(&slug)
}

fn watched(catalog: &Streams, stream: &Arc<Stream>) {
    stream.touch();
    catalog.demand(stream);
}

/// The token in a query. It is URL-safe as it is.
pub(super) fn token(query: Option<&str>) -> Option<&str> {
    let mut pairs = query?.split('&');
    let token = pairs.find_map(|pair| pair.strip_prefix("token="))?;
    (!token.is_empty()).then_some(token)
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs().cast_signed()))
}

/// What a token says, if it is good and its session was not revoked.
fn claims(catalog: &Streams, token: &str) -> Result<PlaybackClaims, Refusal> {
    let keys = catalog.playback_keys();
    if keys.is_empty() {
        refused("no_keys");
        return Err(answer::later(NO_KEYS));
    }
    let claims: PlaybackClaims = verify(&keys, token, now()).map_err(|error| {
        refused(error.label());
        let remedy = match error {
            TokenError::Expired => "it opens within five minutes of its issue",
            TokenError::NotYet => "the clocks of this server differ",
            _ => "copy the whole link",
        };
        let text = format!("{error}: {remedy}; open the watch page, or ask for a new link");
        answer::refuse(StatusCode::UNAUTHORIZED, text)
    })?;
    if catalog.is_revoked(claims.session) {
        return Err(forbid("revoked", REVOKED));
    }
    Ok(claims)
}

/// For what opens: the stream, if the query may open it.
pub(super) fn open(catalog: &Streams, name: &str, query: Option<&str>) -> Result<Opened, Refusal> {
    let (stream, session, is_node) = match token(query) {
        None => {
            let public = find(catalog, name).filter(|stream| !stream.access().is_restricted());
            (public.ok_or_else(unknown)?, None, false)
        }
        Some(token) => {
            let claims = claims(catalog, token)?;
            let its = find(catalog, name).filter(|stream| stream.id() == claims.stream);
            let stream = its.ok_or_else(|| forbid("other_stream", NOT_FOR_THIS))?;
            (stream, Some(claims.session), claims.node.is_some())
        }
    };
    watched(catalog, &stream);
    Ok(Opened {
        stream,
        session,
        is_node,
    })
}

impl Opened {
    /// The session that goes on from here: the token's, or a new one.
    pub(super) async fn session(&self, catalog: &Streams) -> Result<SessionId, Refusal> {
        match self.session.filter(|_| self.is_node) {
            Some(node) => self.stream.served.note_node(node),
            None => self.stream.sessions.opened(),
        }
        let Some(session) = self.session else {
            return Ok(SessionId::new());
        };
        let is_new = self.stream.admit(session).map_err(|_| {
            refused("full");
            answer::later(FULL)
        })?;
        if is_new && self.stream.access().is_restricted() {
            catalog.opened(&self.stream, session).await;
        }
        Ok(session)
    }
}

/// Whether who opened the stream like this may go on.
pub(super) fn may_stay(catalog: &Streams, stream: &Stream, session: Option<SessionId>) -> bool {
    match session {
        Some(session) => !catalog.is_revoked(session),
        None => !stream.access().is_restricted(),
    }
}

/// What a session goes on with.
pub(super) struct InSession {
    catalog: Streams,
    pub(super) stream: Arc<Stream>,
    pub(super) session: SessionId,
}

/// For what is inside a session: the stream, if the session is open.
pub(super) async fn enter(
    catalog: &Streams,
    name: &str,
    session: &str,
) -> Result<InSession, Refusal> {
    let found = session.parse().ok().zip(find(catalog, name));
    let Some((session, stream)) = found else {
        return Err(closed());
    };
    let inside = InSession {
        catalog: Arc::clone(catalog),
        stream,
        session,
    };
    inside.find().await;
    inside.check()?;
    watched(catalog, &inside.stream);
    Ok(inside)
}

impl InSession {
    /// A session that another edge opened goes on here, as when that one is gone.
    async fn find(&self) {
        let unknown = self.stream.access().is_restricted()
            && !self.stream.renew(self.session)
            && !self.catalog.is_revoked(self.session);
        let elsewhere = unknown
            && self
                .catalog
                .was_opened_elsewhere(&self.stream, self.session)
                .await;
        if elsewhere && self.stream.admit(self.session).is_err() {
            refused("full");
        }
    }

    /// Whether the session is still open: asked again after each wait.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.catalog.is_revoked(self.session) {
            return Err(forbid("revoked", REVOKED));
        }
        // Renewed while everybody may watch, too: it goes on if that changes.
        let open = self.stream.renew(self.session);
        if self.stream.access().is_restricted() && !open {
            return Err(closed());
        }
        Ok(())
    }
}

fn closed() -> Refusal {
    forbid("closed", CLOSED)
}

/// For what is public: the stream, if it is.
pub(super) fn public(catalog: &Streams, name: &str) -> Result<Arc<Stream>, Refusal> {
    let stream = find(catalog, name).ok_or_else(closed)?;
    still_public(&stream)?;
    watched(catalog, &stream);
    Ok(stream)
}

/// Whether it still is: asked again after each wait.
pub(super) fn still_public(stream: &Stream) -> Result<(), Refusal> {
    if stream.access().is_restricted() {
        return Err(closed());
    }
    Ok(())
}

/// For pictures, which open nothing: the stream, if the query has a right to see it.
pub(super) fn glimpse(catalog: &Streams, name: &str, query: Option<&str>) -> Option<Arc<Stream>> {
    let stream = find(catalog, name)?;
    if stream.access().is_restricted() {
        let claims = claims(catalog, token(query)?).ok()?;
        if claims.stream != stream.id() {
            return None;
        }
    }
    watched(catalog, &stream);
    Some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_wherever_it_stands_in_the_query() {
        assert_eq!(token(Some("token=a.b.c")), Some("a.b.c"));
        assert_eq!(token(Some("_HLS_msn=1&token=a&x")), Some("a"));
        assert_eq!(token(Some("mytoken=a&token=")), None);
        assert_eq!(token(None), None);
    }
}
