//! A self-signed certificate, and a client that trusts nothing else.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate of `localhost`, as files for a server.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// PEM of the certificate.
    pub certificate: PathBuf,
    /// PEM of its private key.
    pub key: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Makes one in `folder`.
    pub fn make(folder: &Path) -> Result<Self> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).context("make a certificate")?;
        let certificate = folder.join("certificate.pem");
        let key = folder.join("key.pem");
        fs::write(&certificate, made.cert.pem())?;
        fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Self {
            certificate,
            key,
            der: made.cert.der().clone(),
        })
    }

    /// Connects to `address`, offering `protocols` (ALPN).
    pub async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&str],
    ) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await?)
    }
}
