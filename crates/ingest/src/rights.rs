//! Who may play what by RTMP: what the coordinator says, and tokens verified offline.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::{PlaybackClaims, UnixTime, verify};
use proto::Directory;
use tokio::{sync::watch, time::timeout};
use types::{Flag, SessionId, Slug, StreamId};

use crate::hub::Hub;

/// How long a stream that is published here may take to be known to the coordinator, which says whether
/// it is private.
const UNTIL_KNOWN: Duration = Duration::from_secs(2);

const OFF: &str = "RTMP play is switched off on this server; play the stream's HLS address, /live/<stream>/index.m3u8";
const UNKNOWN: &str = "no such live stream, or it is private: a link with a token opens it";
const NOT_FOR_THIS: &str =
    "this token opens another stream, or one that is not live now; ask for a new link";
const REVOKED: &str = "this session was ended by the stream's owner; ask for a new link";
const PRIVATE_NOW: &str = "the stream became private; a link with a token opens it";
const NO_KEYS: &str = "tokens can't be verified yet; try again";

/// Why a player is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status code that players know.
    pub(crate) code: &'static str,
    /// For the viewer to read.
    pub(crate) text: String,
    /// For metrics.
    pub(crate) label: &'static str,
}

impl Refusal {
    fn failed(label: &'static str, text: impl Into<String>) -> Self {
        Self {
            code: "NetStream.Play.Failed",
            text: text.into(),
            label,
        }
    }

    fn unknown() -> Self {
        Self {
            code: "NetStream.Play.StreamNotFound",
            text: UNKNOWN.to_owned(),
            label: "unknown",
        }
    }
}

/// A player's right to a stream.
#[derive(Debug)]
pub(crate) struct Right {
    pub(crate) stream: StreamId,
    session: Option<SessionId>,
    directory: Directory,
    /// Changes when the right may be lost; `None` while the stream isn't known.
    access: Option<watch::Receiver<u64>>,
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.map_or(0, |since| since.as_secs().cast_signed()))
}

/// The right that a play request shows: `<stream>` or `<stream>?token=<token>`.
pub(crate) async fn open(hub: &Hub, directory: &Directory, name: &str) -> Result<Right, Refusal> {
    if !directory.flag(Flag::RtmpPlay) {
        return Err(Refusal::failed("rtmp_play_off", OFF));
    }
    let (name, query) = name.split_once('?').unwrap_or((name, ""));
    let token = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))
        .filter(|token| !token.is_empty());
    // The token first: whoever has none that is good learns nothing of what there is.
    let claims = token.map(|token| claims(directory, token)).transpose()?;
    let found = match name.parse() {
        Ok(slug) => find(hub, directory, &slug).await,
        Err(_) => None,
    };
    let (stream, session) = match (claims, found) {
        (None, Some(stream)) => (stream, None),
        (None, None) => return Err(Refusal::unknown()),
        (Some(claims), Some(stream)) if claims.stream == stream => (stream, Some(claims.session)),
        (Some(_), _) => return Err(Refusal::failed("other_stream", NOT_FOR_THIS)),
    };
    let right = Right {
        stream,
        session,
        access: directory.access(stream),
        directory: directory.clone(),
    };
    match right.missing() {
        None => Ok(right),
        Some(_) if session.is_none() => Err(Refusal::unknown()),
        Some((label, text)) => Err(Refusal::failed(label, text)),
    }
}

fn claims(directory: &Directory, token: &str) -> Result<PlaybackClaims, Refusal> {
    let keys = directory.playback_keys();
    if keys.is_empty() {
        return Err(Refusal::failed("no_keys", NO_KEYS));
    }
    let claims: PlaybackClaims = verify(&keys, token, now()).map_err(|error| {
        let text = format!("{error}; open the watch page, or ask for a new link");
        Refusal::failed(error.label(), text)
    })?;
    if directory.is_revoked(claims.session) {
        return Err(Refusal::failed("revoked", REVOKED));
    }
    Ok(claims)
}

/// The live stream of this name. What is published here and the coordinator hasn't told of yet is waited
/// for: until then nobody knows who may watch.
async fn find(hub: &Hub, directory: &Directory, slug: &Slug) -> Option<StreamId> {
    let mut changes = directory.changes();
    let known = async {
        loop {
            changes.borrow_and_update();
            if let Some(info) = directory.by_slug(slug) {
                return Some(info.id);
            }
            hub.by_slug(slug)?;
            changes.changed().await.ok()?;
        }
    };
    timeout(UNTIL_KNOWN, known).await.ok().flatten()
}

impl Right {
    /// Waits until it is lost. Answers why.
    pub(crate) async fn lost(&mut self) -> &'static str {
        let mut changes = self.directory.changes();
        loop {
            changes.borrow_and_update();
            if self.access.is_none() {
                self.access = self.directory.access(self.stream);
            }
            if let Some((_, text)) = self.missing() {
                return text;
            }
            let ended = match &mut self.access {
                Some(access) => access.changed().await.is_err(),
                // It is over, or will be back; whoever feeds it says which.
                None => changes.changed().await.is_err(),
            };
            if ended && self.access.take().is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What it lacks now: a label, and a text for the viewer.
    fn missing(&self) -> Option<(&'static str, &'static str)> {
        if !self.directory.flag(Flag::RtmpPlay) {
            return Some(("rtmp_play_off", OFF));
        }
        match self.session {
            Some(session) if self.directory.is_revoked(session) => Some(("revoked", REVOKED)),
            Some(_) => None,
            None => {
                let info = self.directory.by_id(self.stream)?;
                info.restricted.then_some(("restricted", PRIVATE_NOW))
            }
        }
    }
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
