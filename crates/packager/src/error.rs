//! What can go wrong in the packager.

/// A stream that can't be packaged or followed now, or a start that fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another service could not do it.
    #[error("{}", .0.message())]
    Status(#[from] Box<tonic::Status>),
    /// Another service did not answer in time.
    #[error("{0} did not answer in time")]
    TooSlow(&'static str),
    /// A message doesn't say what it must.
    #[error(transparent)]
    Convert(#[from] proto::ConvertError),
    /// An origin that was overtaken, or events out of order.
    #[error(transparent)]
    Refused(#[from] delivery::Refused),
    /// A track that can't be packaged.
    #[error("initialization segment: {0}")]
    Init(#[from] fmp4::Error),
    /// A configuration that can't be used.
    #[error(transparent)]
    Config(#[from] runtime::config::ConfigError),
    /// A port that can't be had.
    #[error(transparent)]
    Bind(#[from] runtime::http::BindError),
    /// A certificate that can't be used.
    #[error(transparent)]
    Tls(#[from] runtime::tls::TlsError),
    /// An address that is none.
    #[error(transparent)]
    Address(#[from] runtime::grpc::AddressError),
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
