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
fn tags_replay() -> io::Result<()> {
    replay("tags", flv::fuzzing::tags)
}

#[test]
fn enhanced_headers_replay() -> io::Result<()> {
    replay("enhanced_header", flv::fuzzing::enhanced_header)
}
