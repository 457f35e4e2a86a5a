//! The services' gRPC contracts: code generated from `/proto`, conversions to our types, and the one
//! table of error codes; and the [`directory`] that every service keeps of what the coordinator says.
//!
//! Owns the wire format between services. Knows no service's insides.

pub mod code;
pub mod convert;
pub mod coordinators;
pub mod cut;
pub mod directory;

macro_rules! generated {
    ($(#[$doc:meta])* $module:ident, $package:literal) => {
        $(#[$doc])*
        #[allow(missing_docs, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated; documented in /proto")]
        pub mod $module {
            tonic::include_proto!($package);
        }
    };
}

generated!(
    /// Samples from ingest to packagers.
    media, "streamr.media.v1");
generated!(
    /// What services ask and tell the coordinator.
    coordinator, "streamr.coordinator.v1");
generated!(
    /// A stream's window from origin to edges.
    packager, "streamr.packager.v1");
generated!(
    /// Facts on the event bus.
    events, "streamr.events.v1");
generated!(
    /// What friends' nodes ask and tell the coordinator.
    node, "streamr.node.v1");

pub use code::ErrorCode;
pub use convert::ConvertError;
pub use coordinators::Coordinators;
pub use directory::Directory;

/// What all `.proto` files say, as an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The largest gRPC message: a message holds at least one sample, of up to 8 MiB, and its framing.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024 + 64 * 1024;
