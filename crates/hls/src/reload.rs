//! Blocking playlist reload and delta updates: the delivery directives (RFC 8216bis §6.2.5).

use types::{Msn, PartIndex};

use crate::Error;

/// `_HLS_skip` (§6.2.5.1). We have no date ranges, so both ask for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// `YES`: old segments may be left out.
    Yes,
    /// `v2`: old segments and date ranges may be left out.
    V2,
}

/// What a player asks of a media playlist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadQuery {
    /// `_HLS_msn`: answer when the playlist holds this segment.
    pub msn: Option<Msn>,
    /// `_HLS_part`: answer as soon as it holds this part of it. Only with [`Self::msn`].
    pub part: Option<PartIndex>,
    /// `_HLS_skip`: a delta update is welcome.
    pub skip: Option<Skip>,
}

impl ReloadQuery {
    /// Reads the query part of a URL, without its `?`. Parameters that are not ours are ignored: tokens
    /// and players' cache busters stand there too.
    pub fn parse(query: &str) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "_HLS_msn" => {
                    let msn = number(value).map(Msn::new);
                    set(&mut parsed.msn, "_HLS_msn", msn)?;
                }
                "_HLS_part" => {
                    let part = number(value).and_then(|part| u32::try_from(part).ok());
                    set(&mut parsed.part, "_HLS_part", part.map(PartIndex::new))?;
                }
                "_HLS_skip" => {
                    let skip = match value {
                        "YES" => Some(Skip::Yes),
                        "v2" => Some(Skip::V2),
                        _ => None,
                    };
                    set(&mut parsed.skip, "_HLS_skip", skip)?;
                }
                _ => {}
            }
        }
        if parsed.part.is_some() && parsed.msn.is_none() {
            return Err(Error::PartWithoutMsn);
        }
        Ok(parsed)
    }
}

/// A decimal-integer (§4.2): digits only, where Rust would also take a plus sign.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn set<T>(slot: &mut Option<T>, directive: &'static str, value: Option<T>) -> Result<(), Error> {
    if slot.is_some() {
        return Err(Error::Duplicate { directive });
    }
    *slot = Some(value.ok_or(Error::Value { directive })?);
    Ok(())
}

/// How far a playlist has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveEdge {
    /// The segment in progress, or the one that comes next while none is.
    pub open: Msn,
    /// Parts that the segment in progress has.
    pub parts: u32,
    /// Parts that the segment before it has.
    pub last_parts: u32,
    /// How many parts a query may be ahead: three seconds of them (§6.2.5.2, Advance Part Limit).
    pub advance_part_limit: u32,
    /// Whether the playlist has its `EXT-X-ENDLIST`.
    pub ended: bool,
}

/// What to do with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Answer with the playlist as it is.
    Ready,
    /// Hold the request and decide again when the edge moves; for at most three target durations.
    Wait {
        /// The segment waited for.
        msn: Msn,
        /// The part waited for; none for the whole segment.
        part: Option<PartIndex>,
    },
    /// `400 Bad Request`: what is asked for is too far ahead to be honest (§6.2.5.2).
    BadRequest,
}

/// Decides on a query at the live edge (§6.2.5.2).
///
/// - A playlist that ended never changes again, so nothing is waited for.
/// - A part past a segment's last one is part 0 of the next (a MUST): the player could not know that
///   the segment would be over.
/// - More than two segments, or the advance part limit, ahead of the playlist is refused: held requests
///   cost memory, and such a player is lost or hostile.
pub fn resolve(query: &ReloadQuery, edge: &LiveEdge) -> Decision {
    let Some(msn) = query.msn else {
        return Decision::Ready;
    };
    if edge.ended {
        return Decision::Ready;
    }
    let last_listed = if edge.parts > 0 {
        edge.open.get()
    } else {
        edge.open.get().saturating_sub(1)
    };
    if msn.get() > last_listed.saturating_add(2) {
        return Decision::BadRequest;
    }
    let wait = |msn, part| Decision::Wait { msn, part };
    if msn > edge.open {
        let index = query.part.map_or(0, PartIndex::get);
        if index > edge.advance_part_limit {
            return Decision::BadRequest;
        }
        return wait(msn, query.part);
    }
    if msn == edge.open {
        return match query.part {
            None => wait(msn, None),
            Some(part) if part.get() < edge.parts => Decision::Ready,
            Some(part) if part.get() - edge.parts > edge.advance_part_limit => Decision::BadRequest,
            part @ Some(_) => wait(msn, part),
        };
    }
    let is_last = msn.next() == edge.open;
    let past_its_parts = query.part.is_some_and(|part| part.get() >= edge.last_parts);
    if is_last && past_its_parts && edge.parts == 0 {
        return wait(edge.open, Some(PartIndex::ZERO));
    }
    Decision::Ready
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
