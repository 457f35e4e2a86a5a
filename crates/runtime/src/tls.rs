//! TLS of public listeners, from certificate files.

use std::{fs, path::PathBuf, sync::Arc};

pub use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::config::TlsSection;

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

/// Makes ring the process's TLS provider; harmless when one is installed already.
pub fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The server side's configuration, `None` when no certificate is set. `alpn` are the protocols offered.
pub fn server_config(
    section: &TlsSection,
    alpn: &[&str],
) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let (certificate, key) = match (&section.certificate, &section.key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(TlsError::Half),
    };
    install_provider();
    let read = |field, path: &PathBuf| {
        fs::read(path).map_err(|error| TlsError::File {
            key: field,
            path: path.clone(),
            problem: format!("can't be read: {error}"),
        })
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read("tls.certificate", certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::File {
            key: "tls.certificate",
            path: certificate.clone(),
            problem: format!("holds no PEM certificate: {error}"),
        })?;
    let key_der =
        PrivateKeyDer::from_pem_slice(&read("tls.key", key)?).map_err(|error| TlsError::File {
            key: "tls.key",
            path: key.clone(),
            problem: format!("holds no PEM private key: {error}"),
        })?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Some(Arc::new(config)))
}
