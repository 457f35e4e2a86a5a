//! Commands as pages write them, and any bytes.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;

fn frame(payload: &[u8]) -> Vec<u8> {
    [b"cstr", payload, b"cend"].concat()
}

fn read(message: &[u8]) -> Command {
    let command = Joiner::default().push(message).unwrap().unwrap();
    Command::decode(&command).unwrap()
}

fn msns(ids: &[u64]) -> Vec<Msn> {
    ids.iter().copied().map(Msn::new).collect()
}

#[test]
fn a_request_is_the_bytes_that_a_page_sends() {
    let (segment, request) = (Msn::new(300), RequestId(255));
    let plain = Command::Request {
        segment,
        request,
        offset: ByteCount::ZERO,
    };
    let expected = frame(&[1, b'i', 2, 1, 44, b'r', 2, 0, 255]);
    assert_eq!(plain.frames(), std::slice::from_ref(&expected));
    assert_eq!(read(&expected), plain);
    let later = Command::Request {
        segment,
        request,
        offset: ByteCount::new(127),
    };
    let bytes = frame(&[1, b'i', 2, 1, 44, b'b', 1, 127, b'r', 2, 0, 255]);
    assert_eq!(later.frames(), std::slice::from_ref(&bytes));
    assert_eq!(read(&bytes), later);
}

#[test]
fn an_announcement_groups_ids_that_share_all_but_their_last_byte() {
    let command = Command::Announcement {
        loaded: msns(&[254, 255, 256, 257]),
        loading: msns(&[258]),
    };
    let payload = [
        0, b'l', 0x10, 2, 1, 2, 254, 255, 2, 1, 2, 0, 1, b'p', 0x10, 1, 2, 1, 1, 2,
    ];
    assert_eq!(command.frames(), [frame(&payload)]);
    assert_eq!(read(&frame(&payload)), command);
    let nothing = Command::Announcement {
        loaded: Vec::new(),
        loading: Vec::new(),
    };
    assert_eq!(nothing.frames(), [frame(&[0])]);
}

#[test]
fn a_whole_group_of_256_is_written_as_two() {
    let command = Command::Announcement {
        loaded: msns(&(512..768).collect::<Vec<_>>()),
        loading: Vec::new(),
    };
    assert_eq!(read(&command.frames()[0]), command);
}

#[test]
fn fields_nobody_knows_are_passed_over() {
    let text = [
        5, b'x', 0x20, 2, b'h', b'i', b'i', 1, 9, b'y', 0x10, 0, b'r', 1, 3,
    ];
    let expected = Command::Cancel {
        segment: Msn::new(9),
        request: RequestId(3),
    };
    assert_eq!(read(&frame(&text)), expected);
}

#[test]
fn what_is_wrong_is_named() {
    let decode = |bytes: &[u8]| Command::decode(bytes).unwrap_err();
    assert_eq!(decode(&[]), Error::Cut);
    assert_eq!(decode(&[6]), Error::Unknown(6));
    assert_eq!(decode(&[1, b'i', 1, 5]), Error::Missing('r'));
    assert_eq!(decode(&[2, b'i', 1, 5, b'r', 1, 5]), Error::Missing('s'));
    assert_eq!(decode(&[1, b'i', 1]), Error::Cut);
    assert_eq!(decode(&[1, b'i', 0]), Error::Number);
    assert_eq!(decode(&[1, b'i', 1, 0x81]), Error::Number, "negative");
    assert_eq!(
        decode(&[1, b'i', 7, 0x7f, 0, 0, 0, 0, 0, 0]),
        Error::Number,
        "beyond 2^53"
    );
    assert_eq!(decode(&[1, b'i', 0x30]), Error::Kind(3));
    assert_eq!(decode(&[0, b'l', 0x10, 1, 0x20]), Error::Kind(2));
    assert_eq!(decode(&vec![0; MAX_COMMAND + 1]), Error::TooLong);
}

#[test]
fn frames_out_of_order_and_endless_ones_are_refused() {
    let mut joiner = Joiner::default();
    assert_eq!(joiner.push(b"dstrxcend"), Err(Error::OutOfOrder));
    assert_eq!(joiner.push(b"cstrxdend"), Ok(None));
    assert_eq!(joiner.push(b"cstrxcend"), Err(Error::OutOfOrder));
    let long = [b"cstr".as_slice(), &vec![0; 20_000], b"dend"].concat();
    assert_eq!(joiner.push(&long), Ok(None));
    let more = [b"dstr".as_slice(), &vec![0; 20_000], b"dend"].concat();
    assert_eq!(joiner.push(&more), Err(Error::TooLong));
    assert_eq!(
        joiner.push(b"cstrend"),
        Err(Error::Cut),
        "marks that overlap"
    );
}

#[test]
fn a_segment_that_looks_like_a_command_is_cut_elsewhere() {
    let segment = Bytes::from_static(b"cstr bytes cend");
    let first = chunk(&segment, MAX_CHUNK);
    assert_eq!(first.len(), segment.len() - 1);
    assert!(!is_frame(&first) && !is_frame(&segment.slice(first.len()..)));
}

#[test]
fn a_transfer_is_as_long_as_announced() {
    let transfer = |size| Transfer::new(ByteCount::new(size), ByteCount::new(10));
    assert_eq!(
        transfer(11).unwrap_err(),
        TransferError::TooLarge { size: 11, most: 10 }
    );
    let mut good = transfer(5).unwrap();
    good.push(b"ab").unwrap();
    assert_eq!(good.push(b"cdef"), Err(TransferError::Overflow(5)));
    good.push(b"cde").unwrap();
    assert_eq!(good.finish().unwrap(), "abcde");
    let short = transfer(5).unwrap();
    assert_eq!(
        short.finish(),
        Err(TransferError::Short { size: 5, found: 0 })
    );
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..1000_u64, 0..(1_u64 << 53)]
}

fn command() -> impl Strategy<Value = Command> {
    let ids = || {
        vec(number(), 0..300).prop_map(|mut ids| {
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(250);
            msns(&ids)
        })
    };
    let named = (number(), any::<u32>(), number()).prop_map(|(segment, request, bytes)| {
        (Msn::new(segment), RequestId(request), ByteCount::new(bytes))
    });
    prop_oneof![
        (ids(), ids()).prop_map(|(loaded, loading)| Command::Announcement { loaded, loading }),
        (0..5_u8, named).prop_map(|(kind, (segment, request, bytes))| match kind {
            0 => Command::Request {
                segment,
                request,
                offset: bytes
            },
            1 => Command::Data {
                segment,
                request,
                size: bytes
            },
            2 => Command::Completed { segment, request },
            3 => Command::Absent { segment, request },
            _ => Command::Cancel { segment, request },
        }),
    ]
}

proptest! {
    #[test]
    fn commands_come_back(command in command(), max in 9..200_usize) {
        let mut joiner = Joiner::default();
        let mut whole = None;
        for frame in frame::frames(&command.encode(), max) {
            prop_assert!(is_frame(&frame) && frame.len() <= max);
            prop_assert!(whole.is_none());
            whole = joiner.push(&frame).unwrap();
        }
        prop_assert_eq!(Command::decode(&whole.unwrap()), Ok(command));
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Command::decode(&bytes);
        let _ = Joiner::default().push(&bytes);
    }

    #[test]
    fn segments_come_through_in_messages_that_are_no_commands(
        pieces in vec(prop_oneof![Just(b"cstr".to_vec()), Just(b"cend".to_vec()), Just(b"dend".to_vec()), vec(any::<u8>(), 1..5)], 1..40),
        max in 2..30_usize,
    ) {
        let segment = Bytes::from(pieces.concat());
        let size = ByteCount::new(segment.len() as u64);
        let mut transfer = Transfer::new(size, size).unwrap();
        let mut rest = segment.clone();
        while !rest.is_empty() {
            let chunk = chunk(&rest, max);
            prop_assert!(!is_frame(&chunk) && !chunk.is_empty() && chunk.len() <= max);
            rest = rest.slice(chunk.len()..);
            transfer.push(&chunk).unwrap();
        }
        prop_assert_eq!(transfer.finish().unwrap(), segment);
    }
}
