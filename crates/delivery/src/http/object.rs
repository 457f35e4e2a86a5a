//! Segments, parts, initialization segments and digests.

use std::time::Duration;

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use serde::Deserialize;
use types::{Epoch, Msn, PartIndex};

use super::{Name, Source, answer, find};
use crate::{digest::DigestResource, window::Object};

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

/// One of an epoch's objects. A part that was announced by a preload hint is waited for.
pub(super) async fn object(
    State(catalog): Source,
    Path((stream, epoch, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let (Some(epoch), Some(named)) = (number(&epoch).map(Epoch::new), parse(&name)) else {
        return answer::refuse(StatusCode::NOT_FOUND, "no such object");
    };
    let stream = match find(&catalog, &stream).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal,
    };
    let target = stream.look(|window| window.epoch().map_or(2, |info| info.target_duration));
    let patience = Duration::from_secs(u64::from(target) * 3);
    let found = stream.object(patience, |window| match named {
        Named::Init(generation) => window.init(epoch, generation),
        Named::Segment(msn) => window.segment(epoch, msn),
        Named::Part(msn, part) => window.part(epoch, msn, part),
    });
    match found.await {
        Object::Found(data) => answer::media(&data, &headers),
        _ => answer::refuse(StatusCode::NOT_FOUND, "no such object, or not any more"),
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
) -> Response {
    let after = match query.after.as_deref().map(number) {
        None => None,
        Some(Some(msn)) => Some(Msn::new(msn)),
        Some(None) => {
            return answer::refuse(
                StatusCode::BAD_REQUEST,
                "after must be a media sequence number",
            );
        }
    };
    let stream = match find(&catalog, &name).await {
        Ok(stream) => stream,
        Err(refusal) => return refusal,
    };
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
