//! Queries as players send them, and as attackers do.

use proptest::prelude::*;

use super::*;

const EDGE: LiveEdge = LiveEdge {
    open: Msn::new(7),
    parts: 2,
    last_parts: 6,
    advance_part_limit: 9,
    ended: false,
};

fn decide(query: &str, edge: &LiveEdge) -> Decision {
    resolve(&ReloadQuery::parse(query).unwrap(), edge)
}

fn wait(msn: u64, part: Option<u32>) -> Decision {
    Decision::Wait {
        msn: Msn::new(msn),
        part: part.map(PartIndex::new),
    }
}

#[test]
fn directives_are_found_among_other_parameters() {
    assert_eq!(
        ReloadQuery::parse("token=a&_HLS_msn=12&x&_HLS_part=3&_HLS_skip=v2&_HLS_other=1"),
        Ok(ReloadQuery {
            msn: Some(Msn::new(12)),
            part: Some(PartIndex::new(3)),
            skip: Some(Skip::V2),
        })
    );
    assert_eq!(ReloadQuery::parse(""), Ok(ReloadQuery::default()));
}

#[test]
fn wrong_directives_are_named() {
    let refused = [
        ("_HLS_part=1", "_HLS_part needs _HLS_msn"),
        ("_HLS_msn=", "_HLS_msn is not a valid value"),
        ("_HLS_msn=+1", "_HLS_msn is not a valid value"),
        (
            "_HLS_msn=99999999999999999999",
            "_HLS_msn is not a valid value",
        ),
        (
            "_HLS_msn=1&_HLS_part=4294967296",
            "_HLS_part is not a valid value",
        ),
        ("_HLS_skip=no", "_HLS_skip is not a valid value"),
        ("_HLS_msn=1&_HLS_msn=1", "_HLS_msn is given twice"),
    ];
    for (query, message) in refused {
        assert_eq!(ReloadQuery::parse(query).unwrap_err().to_string(), message);
    }
}

#[test]
fn what_the_playlist_holds_is_answered_at_once() {
    for query in [
        "",
        "_HLS_skip=YES",
        "_HLS_msn=6",
        "_HLS_msn=7&_HLS_part=1",
        "_HLS_msn=0&_HLS_part=50",
    ] {
        assert_eq!(decide(query, &EDGE), Decision::Ready, "{query}");
    }
}

#[test]
fn what_comes_next_is_waited_for() {
    assert_eq!(decide("_HLS_msn=7", &EDGE), wait(7, None));
    assert_eq!(decide("_HLS_msn=7&_HLS_part=2", &EDGE), wait(7, Some(2)));
    assert_eq!(decide("_HLS_msn=8&_HLS_part=0", &EDGE), wait(8, Some(0)));
    assert_eq!(decide("_HLS_msn=9", &EDGE), wait(9, None));
}

#[test]
fn a_part_past_the_last_is_the_next_segments_first() {
    let closed = LiveEdge { parts: 0, ..EDGE };
    assert_eq!(decide("_HLS_msn=6&_HLS_part=5", &closed), Decision::Ready);
    assert_eq!(decide("_HLS_msn=6&_HLS_part=6", &closed), wait(7, Some(0)));
    assert_eq!(decide("_HLS_msn=6&_HLS_part=6", &EDGE), Decision::Ready);
}

#[test]
fn too_far_ahead_is_refused() {
    assert_eq!(decide("_HLS_msn=10", &EDGE), Decision::BadRequest);
    assert_eq!(
        decide("_HLS_msn=7&_HLS_part=12", &EDGE),
        Decision::BadRequest
    );
    assert_eq!(
        decide("_HLS_msn=8&_HLS_part=10", &EDGE),
        Decision::BadRequest
    );
    let closed = LiveEdge { parts: 0, ..EDGE };
    assert_eq!(decide("_HLS_msn=9", &closed), Decision::BadRequest);
}

#[test]
fn an_ended_playlist_never_blocks() {
    let ended = LiveEdge {
        ended: true,
        ..EDGE
    };
    assert_eq!(decide("_HLS_msn=8&_HLS_part=0", &ended), Decision::Ready);
    assert_eq!(decide("_HLS_msn=100", &ended), Decision::Ready);
}

#[test]
fn the_fuzz_corpus_replays_clean() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/ll_hls_query");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        crate::fuzzing::ll_hls_query(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 9);
}

proptest! {
    #[test]
    fn any_query_is_decided(edge in any::<[u8; 2]>(), query in "(&?(_HLS_msn|_HLS_part|_HLS_skip|x)=[0-9v+YES]{0,4}){0,4}") {
        let mut input = edge.to_vec();
        input.extend_from_slice(query.as_bytes());
        crate::fuzzing::ll_hls_query(&input);
    }

    #[test]
    fn any_bytes_are_decided(input in proptest::collection::vec(any::<u8>(), 0..100)) {
        crate::fuzzing::ll_hls_query(&input);
    }
}
