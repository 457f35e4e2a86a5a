//! TLS of public listeners: a certificate from files, or one that an ACME server issues. Either is
//! exchanged while everything runs: connections stay, and the next handshake has the new one.
//!
//! One process of a server orders certificates: the coordinator's, or the one that is everything. It keeps
//! them as files in the data folder; the others wait for those files and follow them.

mod acme;
mod error;
mod http01;
mod pair;
mod resolver;
mod source;

use std::{io, sync::Arc, time::Duration};

use rustls::server::ResolvesServerCert;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Shutdown, config::TlsSection};
pub use error::TlsError;
use pair::Files;
use resolver::{CHALLENGE_PROTOCOL, Resolver};
use source::Source;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The TLS of a listener.
#[derive(Debug)]
pub struct ServerConfig {
    rustls: Arc<rustls::ServerConfig>,
    source: Arc<Source>,
    order: Option<Arc<acme::Settings>>,
}

/// Makes ring the process's TLS provider; harmless when one is installed already.
pub fn install_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The server side's configuration, `None` when TLS is off. `alpn` are the protocols offered.
pub fn server_config(
    section: &TlsSection,
    alpn: &[&str],
) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let (source, order) = match (&section.certificate, &section.key) {
        (None, None) if section.acme.domains.is_empty() => return Ok(None),
        (None, None) => {
            install_provider();
            let order = acme::Settings::new(section);
            (Source::awaited(order.files()), Some(Arc::new(order)))
        }
        (Some(certificate), Some(key)) => {
            install_provider();
            let files = Files {
                certificate: certificate.clone(),
                key: key.clone(),
            };
            (Source::present(files)?, None)
        }
        _ => return Err(TlsError::Half),
    };
    let resolver: Arc<dyn ResolvesServerCert> = Arc::new(Resolver(Arc::clone(&source)));
    let mut rustls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    rustls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    if order.is_some() && !alpn.is_empty() {
        rustls.alpn_protocols.push(CHALLENGE_PROTOCOL.to_vec());
    }
    Ok(Some(Arc::new(ServerConfig {
        rustls: Arc::new(rustls),
        source,
        order,
    })))
}

impl ServerConfig {
    /// Shakes hands, within a time.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(Arc::clone(&self.rustls)).accept(stream);
        let mut stream = tokio::time::timeout(HANDSHAKE, handshake)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE_PROTOCOL) {
            // The handshake was the answer (RFC 8737 §3).
            let _ = tokio::time::timeout(HANDSHAKE, stream.shutdown()).await;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(stream)
    }

    /// Follows the certificate's files while the process runs; once is enough for all listeners that share
    /// them.
    pub fn keep_current(&self, shutdown: &Shutdown) {
        if self.source.begin_watch() {
            shutdown.spawn_until_cancelled(Arc::clone(&self.source).watch());
        }
    }

    /// Orders certificates while the process runs, if they come by ACME; `listener` is where HTTPS is
    /// answered.
    pub(crate) fn keep_ordered(&self, listener: &TcpListener, shutdown: &Shutdown) {
        if let Some(settings) = &self.order {
            let https_port = listener.local_addr().map_or(443, |address| address.port());
            acme::begin(settings, &self.source, https_port, shutdown);
        }
    }
}

#[cfg(test)]
mod tests;
