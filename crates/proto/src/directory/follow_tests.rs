//! What the coordinator says, and what is known after it.

use auth::{PlaybackClaims, SigningKey, UnixTime, verify};
use types::{Flag, SessionId};

use super::*;
use crate::coordinator::{
    Flags, PlaybackKey, PlaybackKeys, SessionRevoked, SnapshotEnd, StreamGone,
    StreamInfo as WireInfo,
};

fn stream(id: StreamId, restricted: bool) -> Event {
    Event::Stream(WireInfo {
        stream_id: id.to_string(),
        slug: "concert".to_owned(),
        ingest_address: "http://127.0.0.1:9001".to_owned(),
        restricted,
        ..WireInfo::default()
    })
}

fn revoked(stream: StreamId, session: SessionId) -> Event {
    Event::SessionRevoked(SessionRevoked {
        stream_id: stream.to_string(),
        session_id: session.to_string(),
    })
}

fn off(names: &[&str]) -> Event {
    Event::Flags(Flags {
        off: names.iter().map(|name| (*name).to_owned()).collect(),
    })
}

fn keys(keys: &[&SigningKey]) -> Event {
    let keys = keys.iter().map(|key| PlaybackKey {
        key_id: key.id().to_string(),
        public_key: key.public().0.to_vec().into(),
    });
    Event::PlaybackKeys(PlaybackKeys {
        keys: keys.collect(),
    })
}

fn told(events: impl IntoIterator<Item = Event>) -> (Directory, Following) {
    let (directory, mut following) = (Directory::default(), Following::default());
    for event in events {
        directory.take(event, &mut following).unwrap();
    }
    (directory, following)
}

#[tokio::test]
async fn streams_are_known_once_the_snapshot_is_complete() {
    let id = StreamId::new();
    let (directory, mut following) = told([stream(id, true)]);
    assert!(directory.by_id(id).is_none());
    directory
        .take(Event::SnapshotEnd(SnapshotEnd {}), &mut following)
        .unwrap();
    let info = directory.by_slug(&"concert".parse().unwrap()).unwrap();
    assert!(info.id == id && info.restricted);
    let gone = Event::Gone(StreamGone {
        stream_id: id.to_string(),
        slug: "concert".to_owned(),
    });
    directory.take(gone, &mut following).unwrap();
    assert!(directory.by_slug(&info.slug).is_none());
}

#[tokio::test]
async fn keys_and_flags_are_replaced_whole() {
    let (old, new) = (
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
    );
    let claims = PlaybackClaims {
        session: SessionId::new(),
        stream: StreamId::new(),
        link: None,
        receipt_key: None,
        node: None,
        issued_at: UnixTime(1_000),
    };
    let token = old.sign(claims.clone()).unwrap();
    let opens = |directory: &Directory| {
        let keys = directory.playback_keys();
        verify::<PlaybackClaims>(&keys, token.expose(), UnixTime(1_010)).is_ok()
    };
    let (directory, mut following) = told([
        keys(&[&old, &new]),
        off(&["http_flv", "of_a_later_version"]),
    ]);
    assert!(opens(&directory));
    assert!(!directory.flag(Flag::HttpFlv) && directory.flag(Flag::RtmpPlay));
    directory.take(keys(&[&new]), &mut following).unwrap();
    directory.take(off(&["rtmp_play"]), &mut following).unwrap();
    assert!(!opens(&directory));
    assert!(directory.flag(Flag::HttpFlv) && !directory.flag(Flag::RtmpPlay));
}

#[tokio::test]
async fn whoever_watches_hears_what_may_take_the_right_away() {
    let (id, session) = (StreamId::new(), SessionId::new());
    let (directory, mut following) = told([stream(id, false), Event::SnapshotEnd(SnapshotEnd {})]);
    let mut access = directory.access(id).unwrap();
    let mut heard = |event: Event| {
        directory.take(event, &mut following).unwrap();
        let changed = access.has_changed().unwrap();
        access.mark_unchanged();
        changed
    };
    assert!(!heard(stream(id, false)), "nothing changed");
    assert!(heard(stream(id, true)), "restricted");
    assert!(!heard(stream(id, false)), "everybody may watch");
    assert!(heard(revoked(id, session)));
    assert!(!heard(revoked(id, session)), "said twice");
    assert!(!heard(revoked(StreamId::new(), SessionId::new())));
    assert!(heard(off(&["rtmp_play"])));
    assert!(directory.is_revoked(session));
}

#[tokio::test]
async fn a_new_connection_adds_its_revocations_to_those_known() {
    let (id, first, second) = (StreamId::new(), SessionId::new(), SessionId::new());
    let (directory, _) = told([
        stream(id, true),
        revoked(id, first),
        Event::SnapshotEnd(SnapshotEnd {}),
    ]);
    let mut again = Following::default();
    for event in [
        stream(id, true),
        revoked(id, second),
        Event::SnapshotEnd(SnapshotEnd {}),
    ] {
        directory.take(event, &mut again).unwrap();
    }
    assert!(directory.is_revoked(first) && directory.is_revoked(second));
}

#[tokio::test]
async fn a_stream_that_a_new_snapshot_leaves_out_is_believed_for_a_while() {
    let id = StreamId::new();
    let (directory, _) = told([stream(id, false), Event::SnapshotEnd(SnapshotEnd {})]);
    let mut again = Following::default();
    directory
        .take(Event::SnapshotEnd(SnapshotEnd {}), &mut again)
        .unwrap();
    assert!(directory.by_id(id).is_some());
    directory.drop_stale(&mut again);
    assert!(directory.by_id(id).is_none());
}
