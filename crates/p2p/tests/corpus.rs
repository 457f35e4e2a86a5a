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
fn commands_replay() -> io::Result<()> {
    replay("commands", p2p::fuzzing::commands)
}

#[test]
fn tracker_messages_replay() -> io::Result<()> {
    replay("tracker", p2p::fuzzing::tracker)
}

#[test]
fn stun_replays() -> io::Result<()> {
    replay("stun", p2p::fuzzing::stun)
}
