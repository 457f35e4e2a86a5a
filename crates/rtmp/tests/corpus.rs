//! Replays the committed fuzz corpora: none may panic.

use std::{fs, io, path::Path};

fn replay(target: &str, body: fn(&[u8])) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(folder)? {
        body(&fs::read(entry?.path())?);
        replayed += 1;
    }
    assert!(replayed > 0, "{target} has no seeds");
    Ok(())
}

#[test]
fn handshakes_and_chunks_replay() -> io::Result<()> {
    replay("handshake_and_chunks", rtmp::fuzzing::handshake_and_chunks)
}

#[test]
fn amf0_values_replay() -> io::Result<()> {
    replay("amf0", rtmp::fuzzing::amf0)
}
