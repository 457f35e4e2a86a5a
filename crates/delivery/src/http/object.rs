//! Segments, parts, initialization segments and digests.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use bytes::Bytes;
use serde::Deserialize;
use types::{Epoch, Msn, PartIndex};

use super::{
    Name, Source,
    answer::{self, Refusal},
    rights,
};
use crate::{
    Stream,
    digest::DigestResource,
    served::To,
    window::{Object, Scope},
};

/// An object's name, as playlists write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// `init<generation>.mp4`.
    Init(u32),
    /// `<msn>.m4s`.
    Segment(Msn),
    /// `<msn>.<part>.m4s`.
    Part(Msn, PartIndex),
}

/// Digits only, and no leading zero: one object has one URL.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn parse(name: &str) -> Option<Named> {
    if let Some(generation) = name
        .strip_prefix("init")
        .and_then(|rest| rest.strip_suffix(".mp4"))
    {
        return Some(Named::Init(u32::try_from(number(generation)?).ok()?));
    }
    let numbers = name.strip_suffix(".m4s")?;
    match numbers.split_once('.') {
        None => Some(Named::Segment(Msn::new(number(numbers)?))),
        Some((msn, part)) => {
            let part = u32::try_from(number(part)?).ok()?;
            Some(Named::Part(Msn::new(number(msn)?), PartIndex::new(part)))
        }
    }
}

/// One of an epoch's objects, at everybody's URL.
pub(super) async fn object(
    State(catalog): Source,
    Path((stream, epoch, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let wanted = Wanted::parse(&epoch, &name)?;
    let stream = rights::public(&catalog, &stream)?;
    let found = wanted.find(&stream).await;
    rights::still_public(&stream)?;
    let answered = Served {
        scope: Scope::Public,
        to: To::Viewer,
    };
    Ok(wanted.answer(&found?, &headers, &stream, answered))
}

/// One of an epoch's objects, at a session's URL. It stays there when the stream becomes public.
pub(super) async fn object_in_session(
    State(catalog): Source,
    Path((stream, session, epoch, name)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let wanted = Wanted::parse(&epoch, &name)?;
    let inside = rights::enter(&catalog, &stream, &session).await?;
    let found = wanted.find(&inside.stream).await;
    inside.check()?;
    let answered = Served {
        scope: Scope::Session,
        to: inside.stream.served.who(inside.session),
    };
    Ok(wanted.answer(&found?, &headers, &inside.stream, answered))
}

struct Wanted(Epoch, Named);

/// Under which URL something is answered, and to whom.
struct Served {
    scope: Scope,
    to: To,
}

impl Wanted {
    fn parse(epoch: &str, name: &str) -> Result<Self, Refusal> {
        let wanted = number(epoch).map(Epoch::new).zip(parse(name));
        wanted
            .map(|(epoch, named)| Self(epoch, named))
            .ok_or_else(|| answer::refuse(StatusCode::NOT_FOUND, "no such object"))
    }

    /// Segments and parts are counted; initialization segments are no media.
    fn answer(
        &self,
        data: &Bytes,
        headers: &HeaderMap,
        stream: &Stream,
        answered: Served,
    ) -> Response {
        let body = |data: Bytes| match self.1 {
            Named::Init(_) => data.into(),
            Named::Segment(_) | Named::Part(..) => stream.served.body(data, answered.to),
        };
        answer::media(data, headers, answered.scope, body)
    }

    /// Its bytes. A part that was announced by a preload hint is waited for.
    async fn find(&self, stream: &Stream) -> Result<Bytes, Refusal> {
        let Self(epoch, named) = *self;
        let found = stream.object(stream.patience(), |window| match named {
            Named::Init(generation) => window.init(epoch, generation),
            Named::Segment(msn) => window.segment(epoch, msn),
            Named::Part(msn, part) => window.part(epoch, msn, part),
        });
        match found.await {
            Object::Found(data) => Ok(data),
            _ => Err(answer::refuse(
                StatusCode::NOT_FOUND,
                "no such object, or not any more",
            )),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

/// `digests?after=<msn>`: signed digests of the window's segments, for nodes.
pub(super) async fn digests(
    State(catalog): Source,
    Path(name): Name,
    Query(query): Query<After>,
) -> Result<Response, Refusal> {
    let after = query.after()?;
    let stream = rights::public(&catalog, &name)?;
    Ok(list(&stream, after))
}

/// The same inside a session.
pub(super) async fn digests_in_session(
    State(catalog): Source,
    Path((name, session)): Path<(String, String)>,
    Query(query): Query<After>,
) -> Result<Response, Refusal> {
    let after = query.after()?;
    let inside = rights::enter(&catalog, &name, &session).await?;
    Ok(list(&inside.stream, after))
}

impl After {
    fn after(&self) -> Result<Option<Msn>, Refusal> {
        match self.after.as_deref().map(number) {
            None => Ok(None),
            Some(Some(msn)) => Ok(Some(Msn::new(msn))),
            Some(None) => Err(answer::refuse(
                StatusCode::BAD_REQUEST,
                "after must be a media sequence number",
            )),
        }
    }
}

fn list(stream: &Stream, after: Option<Msn>) -> Response {
    let digests: Vec<DigestResource> = stream
        .digests(after)
        .iter()
        .map(DigestResource::from)
        .collect();
    let json = serde_json::json!({ "digests": digests }).to_string();
    answer::text(HeaderValue::from_static("application/json"), json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_has_one_name() {
        assert_eq!(parse("init0.mp4"), Some(Named::Init(0)));
        assert_eq!(parse("17.m4s"), Some(Named::Segment(Msn::new(17))));
        assert_eq!(
            parse("17.3.m4s"),
            Some(Named::Part(Msn::new(17), PartIndex::new(3)))
        );
        for bad in [
            "",
            "17",
            "017.m4s",
            "+17.m4s",
            "17.03.m4s",
            "17.3.4.m4s",
            "init.mp4",
            "initx.mp4",
            ".m4s",
            "99999999999999999999.m4s",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
