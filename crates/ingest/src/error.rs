//! What can go wrong in the ingest.

use std::io;

use types::StreamId;

/// A connection that ends, or a start that fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol or a limit.
    #[error("rtmp: {0}")]
    Rtmp(#[from] rtmp::Error),
    /// The connection broke.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// The peer was too slow.
    #[error("{0} took too long")]
    TooSlow(&'static str),
    /// The stream has a publisher that is alive.
    #[error("stream {0} is being published already")]
    Busy(StreamId),
    /// Another service could not do it.
    #[error("{}", .0.message())]
    Status(#[from] Box<tonic::Status>),
    /// A message from another service doesn't say what it must.
    #[error(transparent)]
    Convert(#[from] proto::ConvertError),
    /// A configuration that can't be used.
    #[error(transparent)]
    Config(#[from] runtime::config::ConfigError),
    /// A port that can't be had.
    #[error(transparent)]
    Bind(#[from] runtime::http::BindError),
    /// A certificate that can't be used.
    #[error(transparent)]
    Tls(#[from] runtime::tls::TlsError),
    /// The coordinator's address is none.
    #[error("coordinator.address: {0}")]
    Address(#[from] runtime::grpc::AddressError),
}
