//! Bodies of the fuzz targets, so that an ordinary test can replay their corpora.

use std::net::SocketAddr;

use bytes::Bytes;
use types::ByteCount;

use crate::{
    commands::{Command, Joiner, MAX_COMMAND, Transfer, chunk, is_frame},
    stun, tracker,
};

/// `commands`: messages, each behind its length in two bytes. What is a command comes back as itself; what is not
/// is bytes of a segment.
pub fn commands(input: &[u8]) {
    let mut joiner = Joiner::default();
    let most = ByteCount::kib(64);
    let mut transfer = Transfer::new(most, most).ok();
    let mut rest = input;
    while let Some(([high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (message, next) = after.split_at(length);
        rest = next;
        if !is_frame(message) {
            if let Some(transfer) = &mut transfer {
                let _ = transfer.push(message);
                assert!(transfer.received() <= most);
            }
            continue;
        }
        let Ok(Some(whole)) = joiner.push(message) else {
            continue;
        };
        assert!(whole.len() <= MAX_COMMAND);
        if let Ok(command) = Command::decode(&whole) {
            said_again(&command);
        }
    }
    let mut rest = Bytes::copy_from_slice(input);
    while !rest.is_empty() {
        let chunk = chunk(&rest, 64);
        assert!(!is_frame(&chunk) && !chunk.is_empty());
        rest = rest.slice(chunk.len()..);
    }
}

/// What was read is written so that it reads the same, but for the order and repetition of lists.
fn said_again(command: &Command) {
    let mut joiner = Joiner::default();
    let mut whole = None;
    for frame in command.frames() {
        whole = joiner.push(&frame).ok().flatten();
    }
    let again = whole.map(|whole| Command::decode(&whole));
    if !matches!(command, Command::Announcement { .. }) {
        assert_eq!(again, Some(Ok(command.clone())));
    }
}

/// `tracker`: any text, in both directions.
pub fn tracker(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(message) = tracker::parse(text) {
        assert_eq!(tracker::parse(&message.to_json()), Ok(message));
    }
    if let Ok(message) = tracker::ServerMessage::parse(text) {
        assert_eq!(
            tracker::ServerMessage::parse(&message.to_json()),
            Ok(message)
        );
    }
}

/// `stun`: any datagram; what is a request is answered, and the answer reads.
pub fn stun(input: &[u8]) {
    let _ = stun::parse_response(input);
    if let Ok(transaction) = stun::parse_request(input) {
        let address = SocketAddr::from(([192, 0, 2, 1], 32_853));
        let answer = stun::parse_response(&stun::response(transaction, address));
        assert_eq!(answer.map(|answer| answer.address), Ok(address));
    }
}
