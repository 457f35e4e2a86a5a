//! A client and a server, joined in memory.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use common::{client, exchange, server, stream};
use media::{AudioCodec, Packet, VideoCodec};
use proptest::prelude::*;
use rtmp::{
    Error, chunk,
    session::{Client, ClientEvent, Event, Role, Server},
};

fn started(role: Role) -> (Client, Server) {
    let (mut client, mut server) = (client(role), server());
    let (_, events) = exchange(&mut client, &mut server);
    match events.last() {
        Some(Event::PublishRequested {
            request,
            app,
            stream_key,
            mode,
        }) => {
            assert_eq!((app.as_str(), mode.as_str()), ("live", "live"));
            assert_eq!(stream_key.expose(), "key?token=1");
            assert!(server.accept_publish(*request).unwrap());
        }
        Some(Event::PlayRequested { request, .. }) => assert!(server.accept_play(*request)),
        other => panic!("{other:?}"),
    }
    let (events, _) = exchange(&mut client, &mut server);
    assert_eq!(events, [ClientEvent::Ready]);
    (client, server)
}

#[test]
fn a_publishers_packets_arrive_whatever_the_codec() {
    for (video, audio) in [
        (VideoCodec::H264, AudioCodec::Aac),
        (VideoCodec::H265, AudioCodec::Opus),
        (VideoCodec::Av1, AudioCodec::Opus),
    ] {
        let (mut client, mut server) = started(Role::Publish);
        let packets = stream(video, audio);
        for packet in &packets {
            client.send(packet).unwrap();
        }
        client.finish();
        let (_, events) = exchange(&mut client, &mut server);
        let mut expected: Vec<_> = packets.into_iter().map(Event::Packet).collect();
        expected.push(Event::PublishFinished);
        assert_eq!(events, expected);
    }
}

#[test]
fn a_player_gets_packets_serialized_once() {
    let (mut client, mut server) = started(Role::Play);
    let packets = stream(VideoCodec::H265, AudioCodec::Aac);
    let mut muxer = flv::Muxer::new();
    let mut received = Vec::new();
    for packet in &packets {
        let shared = chunk::serialize_tag(&muxer.tag(packet).unwrap());
        client.receive(&shared).unwrap();
        received.extend(std::iter::from_fn(|| client.poll_event()));
    }
    let expected: Vec<_> = packets.into_iter().map(ClientEvent::Packet).collect();
    assert_eq!(received, expected);

    server.play_status_end();
    let (events, _) = exchange(&mut client, &mut server);
    assert_eq!(events, [ClientEvent::Finished]);
    client.finish();
    let (_, events) = exchange(&mut client, &mut server);
    assert_eq!(events, [Event::PlayFinished]);
}

#[test]
fn a_rejected_publisher_reads_why() {
    let (mut client, mut server) = (client(Role::Publish), server());
    let (_, events) = exchange(&mut client, &mut server);
    let Some(Event::PublishRequested { request, .. }) = events.last() else {
        panic!("{events:?}");
    };
    let (code, description) = ("NetStream.Publish.BadName", "No such stream key.");
    assert!(server.reject(*request, code, description));
    assert!(!server.accept_publish(*request).unwrap());
    let (events, _) = exchange(&mut client, &mut server);
    let expected = ClientEvent::Rejected {
        code: code.into(),
        description: description.into(),
    };
    assert_eq!(events, [expected]);
    assert!(client.send(&common::audio(AudioCodec::Aac)).is_err());
}

#[test]
fn a_publisher_that_is_cut_off_reads_why() {
    let (mut client, mut server) = started(Role::Publish);
    server.end("NetStream.Publish.Failed", "The key was revoked.");
    let (events, _) = exchange(&mut client, &mut server);
    assert!(matches!(events.as_slice(), [ClientEvent::Rejected { .. }]));
    client.finish();
    let (_, events) = exchange(&mut client, &mut server);
    assert_eq!(events, []);
}

/// All that a publisher sends in a short session.
fn recorded() -> Vec<u8> {
    let (mut client, mut server) = (client(Role::Publish), server());
    let mut sent = Vec::new();
    for _ in 0..8 {
        let up = client.take_output();
        sent.extend_from_slice(&up);
        server.receive(&up).unwrap();
        while let Some(event) = server.poll_event() {
            if let Event::PublishRequested { request, .. } = event {
                server.accept_publish(request).unwrap();
            }
        }
        client.receive(&server.take_output()).unwrap();
    }
    assert_eq!(client.poll_event(), Some(ClientEvent::Ready));
    for packet in packets() {
        client.send(&packet).unwrap();
    }
    client.finish();
    sent.extend_from_slice(&client.take_output());
    sent
}

fn packets() -> Vec<Packet> {
    let mut packets = stream(VideoCodec::H264, AudioCodec::Opus);
    packets.truncate(7);
    packets
}

/// What a server makes of `sent` when it arrives in pieces of these sizes.
fn replay(sent: &[u8], sizes: &[usize]) -> Vec<Event> {
    try_replay(sent, sizes).unwrap()
}

fn try_replay(sent: &[u8], sizes: &[usize]) -> Result<Vec<Event>, Error> {
    let mut server = server();
    let mut events = Vec::new();
    let mut rest = sent;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*size).min(rest.len()));
        rest = later;
        server.receive(now)?;
        while let Some(event) = server.poll_event() {
            if let Event::PublishRequested { request, .. } = event {
                assert!(server.accept_publish(request)?);
            }
            events.push(event);
        }
    }
    Ok(events)
}

#[test]
fn byte_by_byte_is_the_same_as_at_once() {
    let sent = recorded();
    let events = replay(&sent, &[1]);
    assert_eq!(events.len(), 2 + packets().len() + 1);
    assert_eq!(events, replay(&sent, &[sent.len() / 100]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_split_gives_the_same_events(sizes in prop::collection::vec(1_usize..5000, 1..20)) {
        let sent = recorded();
        prop_assert_eq!(replay(&sent, &sizes), replay(&sent, &[4096]));
    }

    #[test]
    fn a_damaged_session_never_panics(
        damage in prop::collection::vec((3073_usize..8000, any::<u8>()), 1..20),
        sizes in prop::collection::vec(1_usize..5000, 1..5),
    ) {
        let mut sent = recorded();
        for (at, byte) in damage {
            if let Some(slot) = sent.get_mut(at) {
                *slot = byte;
            }
        }
        let _ = try_replay(&sent, &sizes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        rtmp::fuzzing::handshake_and_chunks(&bytes);
    }
}
