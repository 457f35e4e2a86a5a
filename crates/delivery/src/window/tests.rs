//! The window's promises: numbers, gaps, fencing, what stays served.

use super::*;
use hls::Flavour;
use types::{Bitrate, PartIndex, StreamId};

use crate::DigestKey;

fn epoch(number: u64, first_msn: u64) -> WindowEvent {
    WindowEvent::EpochOpened(EpochInfo {
        epoch: Epoch::new(number),
        first_msn: Msn::new(first_msn),
        target_duration: 2,
        part_target: MediaTime::from_millis(1000),
        codecs: vec!["avc1.64001f".to_owned()],
        resolution: None,
        frame_rate: None,
        bandwidth: Bitrate::new(1000),
        average_bandwidth: Bitrate::new(900),
    })
}

/// A segment of two parts, `discontinuity` in front.
fn segment(epoch: u64, msn: u64, discontinuity: bool, sequence: u64) -> Vec<WindowEvent> {
    let number = Msn::new(msn);
    let part = |index: u32| WindowEvent::Part {
        msn: number,
        index: PartIndex::new(index),
        duration: MediaTime::from_millis(1000),
        independent: index == 0,
        data: Bytes::from(format!("{msn}.{index};")),
    };
    let opened = WindowEvent::SegmentOpened {
        msn: number,
        init: 0,
        program_date_time_ms: 1_700_000_000_000 + msn.cast_signed() * 2000,
        discontinuity,
        discontinuity_sequence: sequence,
    };
    let digest = DigestKey::generate().digest(StreamId::new(), Epoch::new(epoch), number, &[b"x"]);
    let closed = WindowEvent::SegmentClosed {
        msn: number,
        duration: MediaTime::from_millis(2000),
        digest,
    };
    vec![opened, part(0), part(1), closed]
}

fn window(events: impl IntoIterator<Item = WindowEvent>) -> Window {
    let mut window = Window::default();
    for event in events {
        window.apply(&event).unwrap();
    }
    window
}

fn text(window: &mut Window, flavour: Flavour) -> String {
    String::from_utf8(window.render(flavour, None, Scope::Public).plain().to_vec()).unwrap()
}

#[test]
fn a_takeover_goes_on_above_every_number_with_a_discontinuity() {
    let mut events = vec![epoch(1, 1)];
    events.extend(segment(1, 1, false, 0));
    events.extend(segment(1, 2, false, 0).into_iter().take(2));
    events.push(epoch(2, 3));
    events.extend(segment(2, 3, true, 1));
    let mut window = window(events);
    let playlist = text(&mut window, Flavour::Friends);
    assert!(
        playlist.contains("1/2.m4s"),
        "the broken segment ends with the parts it has\n{playlist}"
    );
    assert!(
        playlist.contains("2/3.m4s") && playlist.contains("#EXT-X-DISCONTINUITY\n"),
        "{playlist}"
    );
    assert_eq!(
        window.segment(Epoch::new(1), Msn::new(2)),
        Object::Found(Bytes::from("2.0;"))
    );
}

#[test]
fn a_number_that_was_never_served_stands_as_a_gap() {
    let mut events = vec![epoch(1, 1)];
    events.extend(segment(1, 1, false, 0));
    events.push(epoch(2, 3));
    events.extend(segment(2, 3, true, 1));
    let playlist = text(&mut window(events), Flavour::Friends);
    assert!(
        playlist.contains("#EXT-X-MEDIA-SEQUENCE:1\n") && playlist.contains("#EXT-X-GAP\n"),
        "{playlist}"
    );
}

#[test]
fn a_fenced_origin_is_refused() {
    let mut window = window([epoch(2, 5)]);
    assert!(matches!(
        window.apply(&epoch(1, 9)),
        Err(Refused::Fenced { .. })
    ));
    assert_eq!(
        window.apply(&epoch(2, 5)),
        Ok(false),
        "the same again is no news"
    );
}

#[test]
fn numbers_never_go_back() {
    let mut events = vec![epoch(1, 10)];
    events.extend(segment(1, 10, false, 0));
    let mut window = window(events);
    assert!(matches!(
        window.apply(&epoch(2, 10)),
        Err(Refused::Backwards { .. })
    ));
}

#[test]
fn a_snapshot_makes_the_same_window_and_repeats_change_nothing() {
    let mut events = vec![epoch(1, 1)];
    events.push(WindowEvent::Init {
        generation: 0,
        data: Bytes::from_static(b"init"),
    });
    for msn in 1..=30 {
        events.extend(segment(1, msn, msn % 7 == 0, msn / 7));
    }
    events.extend(segment(1, 31, false, 4).into_iter().take(2));
    let mut original = window(events);
    let snapshot = original.snapshot();
    let mut copy = window(snapshot.clone());
    for flavour in [Flavour::LowLatency, Flavour::Friends] {
        assert_eq!(text(&mut original, flavour), text(&mut copy, flavour));
    }
    for event in &snapshot {
        assert_eq!(copy.apply(event), Ok(false), "{event:?}");
    }
}

#[test]
fn segments_stay_served_after_they_left_the_playlist_and_then_go() {
    let mut events = vec![epoch(1, 1)];
    for msn in 1..=100 {
        events.extend(segment(1, msn, false, 0));
    }
    let mut window = window(events);
    let playlist = text(&mut window, Flavour::Friends);
    assert!(
        playlist.contains("#EXT-X-MEDIA-SEQUENCE:86\n"),
        "30 s of 2 s segments\n{playlist}"
    );
    assert!(matches!(
        window.segment(Epoch::new(1), Msn::new(71)),
        Object::Found(_)
    ));
    assert_eq!(window.segment(Epoch::new(1), Msn::new(50)), Object::Missing);
    assert!(window.media.len() < 40, "bounded");
}

#[test]
fn parts_are_announced_one_ahead() {
    let mut events = vec![epoch(1, 1)];
    events.extend(segment(1, 1, false, 0));
    let mut window = window(events);
    let part = |window: &Window, msn, index| {
        window.part(Epoch::new(1), Msn::new(msn), PartIndex::new(index))
    };
    assert_eq!(part(&window, 1, 1), Object::Found(Bytes::from("1.1;")));
    assert_eq!(part(&window, 1, 2), Object::Missing);
    assert_eq!(
        part(&window, 2, 0),
        Object::Announced,
        "the next segment's first"
    );
    assert_eq!(
        part(&window, 2, 1),
        Object::Announced,
        "another edge may have it already"
    );
    assert_eq!(part(&window, 4, 0), Object::Missing);
    assert_eq!(
        window.init(Epoch::new(2), 0),
        Object::Announced,
        "a takeover"
    );
    assert_eq!(window.init(Epoch::new(3), 0), Object::Missing);
    assert_eq!(
        Window::default().segment(Epoch::new(7), Msn::new(9)),
        Object::Announced,
        "it just follows"
    );
    window.apply(&WindowEvent::Ended).unwrap();
    assert_eq!(part(&window, 2, 0), Object::Missing);
}

#[test]
fn an_end_is_final_until_a_new_epoch() {
    let mut events = vec![epoch(1, 1)];
    events.extend(segment(1, 1, false, 0));
    events.push(WindowEvent::Ended);
    let mut window = window(events);
    assert!(text(&mut window, Flavour::LowLatency).contains("#EXT-X-ENDLIST"));
    window.apply(&epoch(2, 2)).unwrap();
    for event in segment(2, 2, true, 1) {
        window.apply(&event).unwrap();
    }
    let playlist = text(&mut window, Flavour::LowLatency);
    assert!(
        !playlist.contains("#EXT-X-ENDLIST") && playlist.contains("#EXT-X-MEDIA-SEQUENCE:2\n"),
        "{playlist}"
    );
}
