//! Replays the committed fuzz corpora: none may panic.

use std::{fs, path::Path};

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(folder).unwrap() {
        body(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{target} has no seeds");
}

#[test]
fn tags_replay() {
    replay("tags", flv::fuzzing::tags);
}

#[test]
fn enhanced_headers_replay() {
    replay("enhanced_header", flv::fuzzing::enhanced_header);
}
