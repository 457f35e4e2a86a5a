//! A self-signed certificate, and clients that trust one root and nothing else.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
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
        self.trust().connect(address, "localhost", protocols).await
    }

    /// What trusts it.
    pub fn trust(&self) -> Trust {
        Trust(self.der.clone())
    }
}

/// A client that trusts one root and nothing else.
#[derive(Debug, Clone)]
pub struct Trust(CertificateDer<'static>);

impl Trust {
    /// Trusts the first certificate in `pem`.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        Ok(Self(CertificateDer::from_pem_slice(pem)?))
    }

    /// Connects to `address`, which shall be `name`, offering `protocols` (ALPN).
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        protocols: &[&str],
    ) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.clone())?;
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
        let name = ServerName::try_from(name.to_owned())?;
        Ok(TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await?)
    }
}

/// The certificate that a connection's other end showed.
pub fn shown(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let chain = stream.get_ref().1.peer_certificates()?;
    chain.first().map(|certificate| certificate.to_vec())
}
