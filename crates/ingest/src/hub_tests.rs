//! The hub's promises: one publisher, the grace period, discontinuities, late joiners.

use bytes::Bytes;
use delivery::fanout::{Next, Subscriber};
use media::{AudioCodec, AudioConfig, CodecConfig, Sample, TrackKind, VideoCodec, VideoConfig};
use types::MediaTime;

use super::*;
use crate::live::SILENCE;

/// x264's, high profile, 640x360.
const AVCC: [u8; 47] = [
    0x01, 0x64, 0x00, 0x1e, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0,
    0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16,
    0x2d, 0x96, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
];

fn authorized(stream: StreamId) -> Authorized {
    Authorized {
        stream,
        slug: "live".parse().unwrap(),
        publish: PublishId::new(),
        began_unix_ms: None,
        trace_parent: String::new(),
    }
}

fn config() -> CodecConfig {
    // AAC-LC, 44.1 kHz, stereo.
    CodecConfig::Audio(
        AudioConfig::parse(AudioCodec::Aac, Bytes::from_static(&[0x12, 0x10])).unwrap(),
    )
}

fn audio(ms: i64) -> Packet {
    Packet::Sample(Sample {
        track: TrackKind::Audio,
        decode_time: MediaTime::from_millis(ms),
        composition_offset: MediaTime::ZERO,
        keyframe: true,
        payload: Bytes::from_static(b"x"),
    })
}

fn drain(subscriber: &mut Subscriber<Item>) -> Vec<Next<Item>> {
    std::iter::from_fn(|| subscriber.try_next().filter(|next| *next != Next::Closed)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_one_publisher_unless_it_fell_silent() {
    let hub = Hub::new(ByteCount::mib(1));
    let stream = StreamId::new();
    let first = hub.publish(&authorized(stream)).unwrap();
    assert!(matches!(hub.publish(&authorized(stream)), Err(Error::Busy(id)) if id == stream));
    tokio::time::advance(SILENCE).await;
    let _second = hub.publish(&authorized(stream)).unwrap();
    assert!(first.cut().is_cancelled());
    assert_eq!(first.reason(), "another publisher took over");
    drop(first);
    assert!(
        matches!(hub.publish(&authorized(stream)), Err(Error::Busy(_))),
        "the second still publishes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_returns_in_time_continues_the_stream() {
    let hub = Hub::new(ByteCount::mib(1));
    let id = StreamId::new();
    let first = hub.publish(&authorized(id)).unwrap();
    first.packet(Packet::Config(config()));
    first.packet(audio(1000));
    let mut viewer = first.stream().fanout().subscribe();
    drop(first);
    tokio::time::advance(Duration::from_secs(30)).await;
    hub.end_expired(Duration::from_secs(60));
    let second = hub.publish(&authorized(id)).unwrap();
    second.packet(Packet::Config(config()));
    second.packet(audio(0));
    let seen = drain(&mut viewer);
    assert_eq!(seen[0], Next::Preamble(vec![Item::Config(config())]));
    assert!(
        matches!(&seen[1], Next::Entry(Item::Sample(sample)) if sample.decode_time == MediaTime::ZERO)
    );
    assert_eq!(seen[2], Next::Entry(Item::Paused));
    assert_eq!(
        seen[3],
        Next::Entry(Item::Config(config())),
        "its tracks are its own to say"
    );
    assert!(matches!(seen[4], Next::Entry(Item::Discontinuity(_))));
    assert!(
        matches!(&seen[5], Next::Entry(Item::Sample(sample)) if sample.decode_time > MediaTime::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_publisher_may_return_without_video() {
    let hub = Hub::new(ByteCount::mib(1));
    let id = StreamId::new();
    let first = hub.publish(&authorized(id)).unwrap();
    let record = Bytes::from_static(&AVCC);
    let video = VideoConfig::parse(VideoCodec::H264, record).unwrap();
    first.packet(Packet::Config(CodecConfig::Video(video)));
    first.packet(Packet::Config(config()));
    drop(first);
    let second = hub.publish(&authorized(id)).unwrap();
    second.packet(Packet::Config(config()));
    second.packet(audio(0));
    let mut viewer = second.stream().fanout().subscribe();
    let seen = drain(&mut viewer);
    assert_eq!(
        seen[0],
        Next::Preamble(vec![Item::Config(config())]),
        "no video is promised"
    );
    assert!(matches!(seen[1], Next::Entry(Item::Sample(_))));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_the_grace_period_and_is_reported_for_a_while() {
    let hub = Hub::new(ByteCount::mib(1));
    let id = StreamId::new();
    drop(hub.publish(&authorized(id)).unwrap());
    assert_eq!(hub.reports()[0].state(), PublishState::Paused);
    tokio::time::advance(Duration::from_secs(60)).await;
    hub.end_expired(Duration::from_secs(60));
    assert!(hub.by_id(id).is_none());
    let reports = hub.reports();
    assert_eq!(reports[0].state(), PublishState::Ended);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(hub.reports().len(), 1, "for who was away");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(hub.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_publisher_is_cut_and_another_spared() {
    let hub = Hub::new(ByteCount::mib(1));
    let publisher = authorized(StreamId::new());
    let publication = hub.publish(&publisher).unwrap();
    let replaced = Spared::One(publisher.publish);
    hub.revoke(publisher.stream, "replaced", replaced);
    assert!(!publication.cut().is_cancelled());
    // A key that was changed before it came is the key it came with, whenever that is heard of.
    hub.revoke(publisher.stream, "key changed", Spared::After(1));
    assert!(!publication.cut().is_cancelled());
    hub.revoke(publisher.stream, "key changed", Spared::After(i64::MAX));
    assert!(publication.cut().is_cancelled());
    assert_eq!(publication.reason(), "key changed");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_ended_waits_for_nobody() {
    let hub = Hub::new(ByteCount::mib(1));
    let id = StreamId::new();
    let first = authorized(id);
    let publication = hub.publish(&first).unwrap();
    publication.packet(Packet::Config(config()));
    let mut viewer = hub.by_id(id).unwrap().fanout().subscribe();
    hub.end(id, "the stream was ended by its owner");
    assert!(publication.cut().is_cancelled());
    assert_eq!(publication.reason(), "the stream was ended by its owner");
    drain(&mut viewer);
    assert_eq!(viewer.next().await, Next::Closed);
    let reports = hub.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].state(), PublishState::Ended);
    assert_eq!(reports[0].publish_id, first.publish.to_string());
    // Who was cut off leaves, and another broadcast begins, at once.
    let second = hub.publish(&authorized(id)).unwrap();
    drop(publication);
    assert_eq!(hub.reports()[1].state(), PublishState::Live);
    drop(second);
    hub.end(id, "again, while it waits for its publisher");
    assert!(hub.by_id(id).is_none());
    hub.end(id, "there is none");
    assert_eq!(hub.reports().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_another_ingest_has_is_let_go_once_its_publisher_left() {
    let hub = Hub::new(ByteCount::mib(1));
    let id = StreamId::new();
    let publication = hub.publish(&authorized(id)).unwrap();
    let mut viewer = hub.by_id(id).unwrap().fanout().subscribe();
    hub.give_up(id);
    assert!(hub.by_id(id).is_some(), "its publisher is here");
    drop(publication);
    hub.give_up(id);
    assert!(hub.by_id(id).is_none());
    drain(&mut viewer);
    assert_eq!(viewer.next().await, Next::Closed);
    assert!(hub.reports().is_empty(), "it goes on elsewhere");
}
