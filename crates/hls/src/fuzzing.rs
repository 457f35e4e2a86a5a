//! Bodies of the fuzz targets, so that an ordinary test can replay their corpora.

use types::Msn;

use crate::{Decision, LiveEdge, ReloadQuery, resolve};

/// The first two bytes are the live edge, the rest is the query.
pub fn ll_hls_query(input: &[u8]) {
    let Some(([open, parts], query)) = input.split_first_chunk() else {
        return;
    };
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    let Ok(query) = ReloadQuery::parse(query) else {
        return;
    };
    assert!(query.part.is_none() || query.msn.is_some());
    let edge = LiveEdge {
        open: Msn::new(u64::from(*open)),
        parts: u32::from(*parts),
        last_parts: u32::from(parts / 2),
        advance_part_limit: 9,
        ended: false,
    };
    if let Decision::Wait { msn, part } = resolve(&query, &edge) {
        assert!(msn >= edge.open, "what is there needs no waiting");
        assert!(msn.get() <= edge.open.get() + 2, "waiting is bounded");
        assert!(msn > edge.open || part.is_none_or(|part| part.get() >= edge.parts));
    }
    let ended = LiveEdge {
        ended: true,
        ..edge
    };
    assert_eq!(resolve(&query, &ended), Decision::Ready);
}
