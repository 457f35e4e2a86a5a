//! Chunks as encoders send them: interleaved, cut, extended, aborted.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::{Error, Limits, Message, MessageHeader, message_type};

fn read(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    read_pieces(&[bytes])
}

fn read_pieces(pieces: &[&[u8]]) -> Result<Vec<Message>, Error> {
    let mut reader = Reader::new(Limits::default());
    let mut messages = Vec::new();
    for mut piece in pieces.iter().copied() {
        while let Some(message) = reader.read(&mut piece)? {
            messages.push(message);
        }
        assert!(piece.is_empty());
    }
    Ok(messages)
}

fn header(type_id: u8, timestamp: u32) -> MessageHeader {
    MessageHeader {
        type_id,
        stream_id: 1,
        timestamp,
    }
}

fn message(type_id: u8, timestamp: u32, payload: &[u8]) -> Message {
    Message {
        header: header(type_id, timestamp),
        payload: Bytes::copy_from_slice(payload),
    }
}

#[test]
fn audio_inside_a_video_message_disturbs_neither() {
    let video = [7; 200];
    let mut bytes = vec![0x06, 0, 0, 40, 0, 0, 200, 9, 1, 0, 0, 0];
    bytes.extend(&video[..128]);
    bytes.extend([0x04, 0, 0, 23, 0, 0, 2, 8, 1, 0, 0, 0, 0xaf, 1]);
    bytes.push(0xc6);
    bytes.extend(&video[128..]);
    assert_eq!(
        read(&bytes),
        Ok(vec![message(8, 23, &[0xaf, 1]), message(9, 40, &video)])
    );
}

#[test]
fn deltas_add_up_even_when_extended_and_small() {
    let mut bytes = vec![0x04, 0, 0, 10, 0, 0, 1, 8, 1, 0, 0, 0, 1];
    // Type 1 with an extended delta below 0xffffff, type 2 with one above, type 3 that repeats it.
    bytes.extend([0x44, 0xff, 0xff, 0xff, 0, 0, 1, 8, 0, 0, 0, 5, 2]);
    bytes.extend([0x84, 0xff, 0xff, 0xff, 1, 0, 0, 0, 3]);
    bytes.extend([0xc4, 1, 0, 0, 0, 4]);
    bytes.extend([0x84, 0, 0, 1, 5]);
    bytes.extend([0xc4, 6]);
    let times: Vec<_> = read(&bytes)
        .unwrap()
        .iter()
        .map(|m| m.header.timestamp)
        .collect();
    assert_eq!(
        times,
        [10, 15, 0x100_000f, 0x200_000f, 0x200_0010, 0x200_0011]
    );
}

#[test]
fn a_timestamp_wraps() {
    let mut bytes = vec![0x04, 0xff, 0xff, 0xff, 0, 0, 1, 8, 1, 0, 0, 0];
    bytes.extend([0xff, 0xff, 0xff, 0xf0, 1]);
    bytes.extend([0x84, 0, 0, 0x20, 2]);
    let times: Vec<_> = read(&bytes)
        .unwrap()
        .iter()
        .map(|m| m.header.timestamp)
        .collect();
    assert_eq!(times, [0xffff_fff0, 0x10]);
}

#[test]
fn a_forgotten_repeated_timestamp_is_forgiven() {
    let mut bytes = vec![0x04, 0xff, 0xff, 0xff, 0, 0, 200, 8, 1, 0, 0, 0, 1, 2, 3, 4];
    bytes.extend([5; 128]);
    bytes.push(0xc4);
    bytes.extend([5; 72]);
    let expected = vec![message(8, 0x0102_0304, &[5; 200])];
    assert_eq!(read(&bytes), Ok(expected.clone()));
    let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read_pieces(&one_by_one), Ok(expected));
}

#[test]
fn an_aborted_message_is_gone() {
    let mut bytes = vec![0x06, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
    bytes.extend([7; 128]);
    bytes.extend([0x02, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 6]);
    bytes.extend([0x06, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 8]);
    assert_eq!(read(&bytes), Ok(vec![message(9, 0, &[8])]));
}

#[test]
fn the_chunk_size_changes_inside_a_message() {
    let mut bytes = vec![0x06, 0, 0, 0, 0, 1, 0x2c, 9, 1, 0, 0, 0];
    bytes.extend([7; 128]);
    bytes.extend([0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0x10, 0]);
    bytes.push(0xc6);
    bytes.extend([7; 172]);
    assert_eq!(read(&bytes), Ok(vec![message(9, 0, &[7; 300])]));
}

#[test]
fn limits_hold() {
    let size = |size: u32| {
        let header = header(message_type::SET_CHUNK_SIZE, 0);
        serialize_message_shared(CONTROL, &header, &[&size.to_be_bytes()], 128)
    };
    assert!(read(&size(65_536)).is_ok());
    assert!(matches!(read(&size(65_537)), Err(Error::Limit { .. })));
    assert!(matches!(read(&size(0)), Err(Error::Invalid { .. })));

    let huge = [0x06, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0];
    let error = read(&huge).unwrap_err();
    assert_eq!(
        error.to_string(),
        "message bytes is 16777215, more than the 8388608 allowed"
    );

    let mut streams = BytesMut::new();
    for id in 3..68 {
        serialize(&mut streams, id, &header(8, 0), &[&[1]], 128);
    }
    assert!(matches!(read(&streams), Err(Error::Limit { .. })));
    assert!(matches!(read(&[0xc5]), Err(Error::NoPreviousHeader { .. })));
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let limits = Limits::default();
    let mut reader = Reader::new(limits);
    let set = serialize_message_shared(
        CONTROL,
        &header(message_type::SET_CHUNK_SIZE, 0),
        &[&65_536_u32.to_be_bytes()],
        128,
    );
    reader.read(&mut set.as_ref()).unwrap();
    let chunk = vec![0; 65_536];
    let mut failed = false;
    'all: for id in 3..60_u8 {
        let mut head: &[u8] = &[id, 0, 0, 0, 0x70, 0, 0, 9, 1, 0, 0, 0];
        reader.read(&mut head).unwrap();
        for round in 0..111 {
            if round > 0 {
                reader.read(&mut [0xc0 | id].as_slice()).unwrap();
            }
            if reader.read(&mut chunk.as_slice()).is_err() {
                failed = true;
                break 'all;
            }
        }
    }
    assert!(failed);
    assert!(reader.buffered() <= limits.buffered);
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        parts in prop::collection::vec(
            (2_u32..400, any::<u32>(), prop::collection::vec(any::<u8>(), 0..600)), 1..8),
        cuts in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let mut bytes = BytesMut::new();
        let mut expected = Vec::new();
        for (id, timestamp, payload) in &parts {
            serialize(&mut bytes, *id, &header(9, *timestamp), &[payload], DEFAULT_CHUNK_SIZE);
            expected.push(message(9, *timestamp, payload));
        }
        let mut pieces = Vec::new();
        let mut rest: &[u8] = &bytes;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            pieces.push(now);
            rest = later;
        }
        prop_assert_eq!(read_pieces(&pieces), Ok(expected));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_split_the_same(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let whole = read(&bytes);
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(whole, read_pieces(&pieces));
    }
}
