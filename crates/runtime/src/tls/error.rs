//! Certificates that can't be used.

use std::path::PathBuf;

/// A certificate that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Only one of the two files was named.
    #[error(
        "configuration: tls.certificate (STREAMR__TLS__CERTIFICATE) and tls.key (STREAMR__TLS__KEY) go together; set both or neither"
    )]
    Half,
    /// A file that can't be read or holds no PEM of its kind.
    #[error("configuration: {key} ({}) names {}, which {problem}", crate::http::env_name(key), path.display())]
    File {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key don't fit, or use an unknown algorithm.
    #[error(
        "configuration: tls.certificate (STREAMR__TLS__CERTIFICATE) and tls.key (STREAMR__TLS__KEY) can't be used together: {0}"
    )]
    Pair(#[from] rustls::Error),
}
