//! Generates the gRPC code from `/proto`, without protoc.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prost::Message;

const FILES: [&str; 5] = [
    "streamr/media/v1/media.proto",
    "streamr/coordinator/v1/coordinator.proto",
    "streamr/packager/v1/packager.proto",
    "streamr/events/v1/events.proto",
    "streamr/node/v1/node.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    // Payloads as `Bytes`: a message's payload is a slice of what arrived, never a copy of its own.
    let folder = PathBuf::from(std::env::var("OUT_DIR")?);
    fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Channels are made by `runtime::grpc`; `Connect` is a method of ours.
        .build_transport(false)
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
