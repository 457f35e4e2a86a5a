//! Rendered playlists, word for word.

use proptest::prelude::*;
use types::Epoch;

use super::*;
use crate::Part;

fn part(index: u32, millis: i64) -> Part {
    Part {
        index: PartIndex::new(index),
        duration: MediaTime::from_millis(millis),
        independent: index == 0,
        gap: false,
    }
}

fn segment(msn: u64) -> Segment {
    Segment {
        msn: Msn::new(msn),
        epoch: Epoch::new(3),
        init: 0,
        duration: Some(MediaTime::from_millis(2000)),
        program_date_time_ms: 1_790_000_000_000 + msn as i64 * 2000,
        discontinuity: false,
        gap: false,
        independent: true,
        parts: vec![part(0, 1000), part(1, 1000)],
        sha256: Some([msn as u8; 32]),
    }
}

fn playlist(segments: impl IntoIterator<Item = Segment>) -> Playlist {
    Playlist {
        segments: segments.into_iter().collect(),
        ..Playlist::new(2, MediaTime::from_millis(1002))
    }
}

fn open(msn: u64, parts: u32) -> Segment {
    Segment {
        duration: None,
        parts: (0..parts).map(|index| part(index, 1000)).collect(),
        sha256: None,
        ..segment(msn)
    }
}

const LOW_LATENCY: RenderOptions<'static> = RenderOptions::new(Flavour::LowLatency);
const FRIENDS: RenderOptions<'static> = RenderOptions::new(Flavour::Friends);

#[test]
fn a_low_latency_playlist_lists_recent_parts_and_hints_at_the_next() {
    let list = playlist((7..11).map(segment).chain([open(11, 1)]));
    assert_eq!(
        list.render(&LOW_LATENCY),
        "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=3.00600
#EXT-X-PART-INF:PART-TARGET=1.00200
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"../../3/init0.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:34.000Z
#EXTINF:2.00000,
../../3/7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:36.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/8.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/8.1.m4s\"
#EXTINF:2.00000,
../../3/8.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:38.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/9.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/9.1.m4s\"
#EXTINF:2.00000,
../../3/9.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:40.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/10.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/10.1.m4s\"
#EXTINF:2.00000,
../../3/10.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:42.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/11.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../../3/11.1.m4s\"
"
    );
}

#[test]
fn a_friends_playlist_has_whole_segments_and_digests_only() {
    let mut list = playlist([segment(7), segment(8), open(9, 1)]);
    list.ended = true;
    let sevens = "07".repeat(32);
    let eights = "08".repeat(32);
    assert_eq!(
        list.render(&FRIENDS),
        format!(
            "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:HOLD-BACK=6.0
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"../../3/init0.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:34.000Z
#EXT-X-STREAMR-SHA256:{sevens}
#EXTINF:2.00000,
../../3/7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:36.000Z
#EXT-X-STREAMR-SHA256:{eights}
#EXTINF:2.00000,
../../3/8.m4s
#EXT-X-ENDLIST
"
        )
    );
}

#[test]
fn a_new_epoch_is_a_discontinuity_with_its_own_map_and_a_gap_says_so() {
    let gap = Segment {
        gap: true,
        independent: false,
        parts: Vec::new(),
        sha256: None,
        ..segment(8)
    };
    let taken_over = Segment {
        epoch: Epoch::new(4),
        discontinuity: true,
        ..segment(9)
    };
    let mut list = playlist([segment(7), gap, taken_over, segment(10)]);
    list.ended = true;
    list.segments[3].epoch = Epoch::new(4);
    let options = RenderOptions {
        prefix: "/live/a/",
        ..FRIENDS
    };
    let text = list.render(&options);
    let (_header, body) = text.split_once("SEQUENCE:0\n").unwrap();
    let body: Vec<_> = body
        .lines()
        .filter(|line| !line.contains("SHA256"))
        .collect();
    assert_eq!(
        body,
        [
            "#EXT-X-MAP:URI=\"/live/a/3/init0.mp4\"",
            "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:34.000Z",
            "#EXTINF:2.00000,",
            "/live/a/3/7.m4s",
            "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:36.000Z",
            "#EXT-X-GAP",
            "#EXTINF:2.00000,",
            "/live/a/3/8.m4s",
            "#EXT-X-DISCONTINUITY",
            "#EXT-X-MAP:URI=\"/live/a/4/init0.mp4\"",
            "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:38.000Z",
            "#EXTINF:2.00000,",
            "/live/a/4/9.m4s",
            "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:40.000Z",
            "#EXTINF:2.00000,",
            "/live/a/4/10.m4s",
            "#EXT-X-ENDLIST",
        ]
    );
}

#[test]
fn the_hint_after_a_complete_segment_is_part_zero_of_the_next() {
    let text = playlist([segment(7)]).render(&LOW_LATENCY);
    assert!(text.ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../../3/8.0.m4s\"\n"));
    let edge = playlist([segment(7)]).live_edge();
    assert_eq!(
        (edge.open, edge.parts, edge.last_parts),
        (Msn::new(8), 0, 2)
    );
    let edge = playlist([segment(7), open(8, 1)]).live_edge();
    assert_eq!(
        (edge.open, edge.parts, edge.last_parts),
        (Msn::new(8), 1, 2)
    );
    assert_eq!(edge.advance_part_limit, 3);
}

#[test]
fn what_leaves_the_window_leaves_its_discontinuity_counted() {
    let mut list = playlist((7..30).map(segment));
    list.segments[1].discontinuity = true;
    let evicted = list.evict(MediaTime::from_millis(30_000));
    assert_eq!(evicted.len(), 8);
    assert_eq!(list.segments.len(), 15);
    assert_eq!(list.discontinuity_sequence, 1);
}

#[test]
fn multivariants_name_codecs_and_leave_out_what_sound_has_not() {
    let mut multivariant = crate::Multivariant {
        uri: "s/x/index.m3u8",
        others: &[],
        bandwidth: types::Bitrate::new(3_000_000),
        average_bandwidth: types::Bitrate::new(2_500_000),
        codecs: &["avc1.64001e", "mp4a.40.2"],
        resolution: Some((1280, 720)),
        frame_rate: Some(media::FrameRate {
            numerator: 30_000,
            denominator: 1001,
        }),
    };
    assert_eq!(
        multivariant.render(),
        "\
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS=\"avc1.64001e,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970
s/x/index.m3u8
"
    );
    multivariant.resolution = None;
    multivariant.frame_rate = None;
    multivariant.codecs = &["mp4a.40.2"];
    assert!(
        multivariant
            .render()
            .contains("CODECS=\"mp4a.40.2\"\ns/x/index.m3u8\n")
    );
    let others = ["https://b.example/live/x/s/x/index.m3u8".to_owned()];
    multivariant.others = &others;
    assert_eq!(
        multivariant.render().lines().skip(2).collect::<Vec<_>>(),
        [
            "#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS=\"mp4a.40.2\"",
            "s/x/index.m3u8",
            "#EXT-X-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,CODECS=\"mp4a.40.2\"",
            "https://b.example/live/x/s/x/index.m3u8",
        ],
        "the same elsewhere differs in nothing but its place"
    );
}

/// What a player makes of a delta update: the skipped segments' lines from the playlist it had.
fn apply(delta: &str, full: &str) -> String {
    let Some((before, after)) = delta.split_once("#EXT-X-SKIP:SKIPPED-SEGMENTS=") else {
        return delta.to_owned();
    };
    let (count, after) = after.split_once('\n').unwrap();
    let mut left: usize = count.parse().unwrap();
    assert!(full.starts_with(before));
    let skipped = full[before.len()..].lines().take_while(|line| {
        let more = left > 0;
        left -= usize::from(more && !line.starts_with('#'));
        more
    });
    let skipped: String = skipped.flat_map(|line| [line, "\n"]).collect();
    format!("{before}{skipped}{after}")
}

proptest! {
    #[test]
    fn a_delta_update_makes_the_full_playlist(
        durations in proptest::collection::vec(300..2499_i64, 1..40),
        breaks in proptest::collection::vec(any::<bool>(), 40),
        open_parts in 0..4_u32,
    ) {
        let mut epoch = 0;
        let complete = durations.iter().zip(&breaks).enumerate().map(|(index, (millis, change))| {
            epoch += u64::from(*change);
            Segment {
                epoch: Epoch::new(epoch),
                discontinuity: *change,
                duration: Some(MediaTime::from_millis(*millis)),
                parts: vec![part(0, *millis)],
                ..segment(index as u64)
            }
        });
        let mut list = playlist(complete);
        if open_parts > 0 {
            list.segments.push_back(open(durations.len() as u64, open_parts));
        }
        let full = list.render(&LOW_LATENCY);
        let delta = list.render(&RenderOptions { skip: Some(Skip::Yes), ..LOW_LATENCY });
        prop_assert_eq!(apply(&delta, &full), full);
        // At least six target durations are always there.
        let kept = list.segments.iter().skip(list.skippable()).map(|s| s.duration_so_far().as_millis()).sum::<i64>();
        prop_assert!(list.skippable() == 0 || kept >= 12_000);
        let total = list.duration().as_millis();
        prop_assert!(total < 15_000 || list.skippable() > 0);
    }
}
