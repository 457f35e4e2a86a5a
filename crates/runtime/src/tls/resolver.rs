//! Which certificate a handshake gets.

use std::sync::Arc;

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::source::Source;

/// TLS-ALPN-01's protocol (RFC 8737).
pub(super) const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// A listener's view of a source.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Arc<Source>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_challenge = hello
            .alpn()
            .is_some_and(|mut protocols| protocols.any(|name| name == CHALLENGE_PROTOCOL));
        if is_challenge {
            let name = hello.server_name()?.to_ascii_lowercase();
            return self.0.challenges.lock().get(&name).cloned();
        }
        let current = self.0.current();
        if current.is_none() {
            metrics::counter!("streamr_tls_handshakes_without_certificate_total").increment(1);
        }
        current
    }
}
