//! The server against peers that do what real ones do, and what they should not.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use bytes::BytesMut;
use common::Raw;
use media::{AudioCodec, CodecConfig, Packet};
use rtmp::{
    Error,
    amf0::{self, Value},
    message_type,
    session::Event,
};

fn text(value: Option<&Value>, key: &str) -> String {
    let property = value.and_then(|value| value.get(key));
    property
        .and_then(Value::as_str)
        .unwrap_or("none")
        .to_owned()
}

/// The AAC configuration as a tag body.
fn aac_config() -> Vec<u8> {
    let Packet::Config(CodecConfig::Audio(config)) = common::audio(AudioCodec::Aac) else {
        unreachable!()
    };
    [&[0xaf, 0], config.record.as_ref()].concat()
}

fn decode_times(events: &[Event]) -> Vec<i64> {
    let times = events.iter().filter_map(|event| match event {
        Event::Packet(Packet::Sample(sample)) => Some(sample.decode_time.as_millis()),
        _ => None,
    });
    times.collect()
}

#[test]
fn connect_is_answered_with_codecs_and_parsed() {
    let mut raw = Raw::new();
    let object = Value::object([
        ("app", "/live/?token=1".into()),
        ("tcUrl", "rtmp://host/live/?token=1".into()),
        ("fourCcList", Value::StrictArray(vec!["hvc1".into()])),
        (
            "videoFourCcInfoMap",
            Value::object([("*", 4.0.into()), ("hvc1", 4.0.into())]),
        ),
    ]);
    raw.command("connect", 1.0, &[object]).unwrap();
    let events = raw.events();
    let [Event::Connected(info)] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(info.app, "live");
    assert_eq!(info.app_query.as_ref().unwrap().expose(), "token=1");
    assert_eq!(info.four_cc_list, ["hvc1", "*"]);
    assert!(!format!("{info:?}").contains("token"));

    let replies = raw.command_replies();
    let result = replies.first().unwrap();
    assert_eq!(result.first(), Some(&Value::from("_result")));
    assert!(result.get(2).unwrap().get("fourCcList").is_some());
    assert_eq!(text(result.get(3), "code"), "NetConnection.Connect.Success");
}

#[test]
fn encoders_small_talk_is_answered() {
    let mut raw = Raw::connected();
    raw.replies();
    for (name, id) in [
        ("releaseStream", 2.0),
        ("FCPublish", 3.0),
        ("createStream", 4.0),
        ("_checkbw", 5.0),
        ("getStreamLength", 6.0),
        ("noSuchThing", 7.0),
        ("noSuchThing", 0.0),
    ] {
        raw.command(name, id, &[Value::Null, "key".into()]).unwrap();
    }
    let names: Vec<_> = raw
        .command_replies()
        .into_iter()
        .map(|values| {
            (
                values[0].as_str().unwrap().to_owned(),
                values[1].as_f64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("_result", 2.0),
        ("_result", 3.0),
        ("onFCPublish", 0.0),
        ("_result", 4.0),
        ("_result", 5.0),
        ("_result", 6.0),
        ("_error", 7.0),
    ];
    assert_eq!(names, expected.map(|(name, id)| (name.to_owned(), id)));
}

#[test]
fn an_amf3_command_is_read() {
    let mut raw = Raw::connected();
    raw.replies();
    let mut payload = BytesMut::from([0].as_slice());
    amf0::write_all(
        &mut payload,
        &["createStream".into(), 9.0.into(), Value::Null],
    );
    raw.message(message_type::COMMAND_AMF3, 0, &payload)
        .unwrap();
    assert_eq!(raw.command_replies().len(), 1);
}

#[test]
fn a_command_before_connect_ends_the_session() {
    assert_eq!(
        Raw::new().command("publish", 1.0, &[]),
        Err(Error::NotReady)
    );
}

#[test]
fn media_sent_before_the_answer_is_not_lost() {
    let mut raw = Raw::connected();
    raw.command("publish", 5.0, &[Value::Null, "key".into()])
        .unwrap();
    raw.message(message_type::AUDIO, 0, &aac_config()).unwrap();
    raw.message(message_type::AUDIO, 20, &[0xaf, 1, 1]).unwrap();
    let events = raw.events();
    let Some(Event::PublishRequested { request, .. }) = events.last() else {
        panic!("{events:?}");
    };
    assert!(raw.server.accept_publish(*request).unwrap());
    let events = raw.events();
    assert_eq!(events.len(), 2);
    assert_eq!(decode_times(&events), [20]);
}

#[test]
fn a_withdrawn_request_cannot_be_accepted() {
    let mut raw = Raw::connected();
    raw.command("publish", 5.0, &[Value::Null, "key".into()])
        .unwrap();
    let events = raw.events();
    let Some(Event::PublishRequested { request, .. }) = events.last() else {
        panic!("{events:?}");
    };
    raw.command("deleteStream", 0.0, &[Value::Null, 1.0.into()])
        .unwrap();
    assert!(!raw.server.accept_publish(*request).unwrap());
}

#[test]
fn too_many_bytes_before_an_accept_end_the_session() {
    let mut raw = Raw::connected();
    let outcome = (0..100).try_for_each(|_| raw.message(message_type::AUDIO, 0, &[0; 1000]));
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.starts_with("bytes before publish or play is"),
        "{error}"
    );
}

#[test]
fn time_goes_on_over_the_wrap() {
    let mut raw = Raw::publishing();
    raw.message(message_type::AUDIO, 0, &aac_config()).unwrap();
    for at in [0xffff_fff0, 0x10] {
        raw.message(message_type::AUDIO, at, &[0xaf, 1, 1]).unwrap();
    }
    // The configuration's own time, zero, is no time to start from.
    assert_eq!(decode_times(&raw.events()), [0xffff_fff0, 0x1_0000_0010]);
}

#[test]
fn an_aggregate_is_split_and_timed_by_the_message() {
    let mut raw = Raw::publishing();
    raw.message(message_type::AUDIO, 0, &aac_config()).unwrap();
    let tag = |at| [8, 0, 0, 3, 0, 0, at, 0, 0, 0, 0, 0xaf, 1, 1, 0, 0, 0, 14];
    let payload = [tag(5), tag(28)].concat();
    raw.message(message_type::AGGREGATE, 1000, &payload)
        .unwrap();
    assert_eq!(decode_times(&raw.events()), [1000, 1023]);
}

#[test]
fn metadata_is_handed_over_with_and_without_its_prefix() {
    let mut raw = Raw::publishing();
    let object = Value::EcmaArray(vec![("width".into(), 640.0.into())]);
    let mut payload = BytesMut::new();
    amf0::write_all(
        &mut payload,
        &["@setDataFrame".into(), "onMetaData".into(), object.clone()],
    );
    raw.message(message_type::DATA, 0, &payload).unwrap();
    assert_eq!(raw.events(), [Event::Metadata(object)]);
    raw.message(message_type::DATA, 0, &[2, 0, 9]).unwrap();
    assert!(matches!(
        raw.events().as_slice(),
        [Event::PacketDropped { .. }]
    ));
}

#[test]
fn a_bad_tag_costs_one_tag_and_a_bad_codec_the_session() {
    let mut raw = Raw::publishing();
    raw.message(message_type::VIDEO, 0, &[0x17, 1, 0]).unwrap();
    assert!(matches!(
        raw.events().as_slice(),
        [Event::PacketDropped { .. }]
    ));
    assert!(raw.message(message_type::VIDEO, 0, b"\x91vp09").is_err());
    let replies = raw.command_replies();
    let information = replies.last().unwrap().get(3);
    assert_eq!(text(information, "code"), "NetStream.Publish.Failed");
    assert_eq!(
        text(information, "description"),
        "Video codec vp09 is not supported"
    );
}

#[test]
fn pings_and_windows_are_answered() {
    let mut raw = Raw::publishing();
    let ping = [0, 6, 1, 2, 3, 4];
    raw.message(message_type::USER_CONTROL, 0, &ping).unwrap();
    assert_eq!(raw.replies()[0].payload.as_ref(), [0, 7, 1, 2, 3, 4]);

    let window = 5000_u32.to_be_bytes();
    raw.message(message_type::WINDOW_ACKNOWLEDGEMENT_SIZE, 0, &window)
        .unwrap();
    raw.replies();
    let mut totals = Vec::new();
    for _ in 0..12 {
        raw.message(message_type::AUDIO, 0, &[0xaf; 1000]).unwrap();
        for reply in raw.replies() {
            assert_eq!(reply.header.type_id, message_type::ACKNOWLEDGEMENT);
            totals.push(u32::from_be_bytes(
                reply.payload.as_ref().try_into().unwrap(),
            ));
        }
    }
    // Running totals, not differences.
    assert!(totals.len() >= 2);
    assert!(totals.is_sorted_by(|a, b| a + 5000 <= *b), "{totals:?}");
}
