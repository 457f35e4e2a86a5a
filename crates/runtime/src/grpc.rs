//! Internal gRPC: client channels and the service token.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use types::Secret;

/// The metadata key that carries the service token.
const TOKEN_KEY: &str = "x-streamr-service-token";
/// The deadline of a unary internal call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A peer that doesn't answer pings this long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Small windows: a subscriber that is slow must fill its queue at the sender, not buffers in between.
const WINDOW: u32 = 512 * 1024;
/// Of all streams on a connection together: one that is slow must not hold up the others.
const CONNECTION_WINDOW: u32 = WINDOW * 64;

/// A channel that sends the service token with each call.
pub type ServiceChannel = InterceptedService<Channel, Token>;

/// An address that is no `http://host:port`.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is no service address; write http://host:port")]
pub struct AddressError {
    address: String,
}

/// A channel to `address` (`http://host:port`), connected when first used and again whenever it broke.
pub fn channel(
    address: &str,
    token: Option<&Secret<String>>,
) -> Result<ServiceChannel, AddressError> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| AddressError {
        address: address.to_owned(),
    })?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .tcp_nodelay(true)
        .connect_lazy();
    Ok(InterceptedService::new(channel, Token::new(token)))
}

/// Channels kept open; addresses of ours are few.
const MAX_CHANNELS: usize = 256;

/// One channel per address, shared by every stream that goes there: a connection costs tasks and pings.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Channels {
    token: Option<Secret<String>>,
    open: Arc<Mutex<HashMap<String, ServiceChannel>>>,
}

impl Channels {
    /// No channels yet; each will send `token`.
    pub fn new(token: Option<Secret<String>>) -> Self {
        Self {
            token,
            open: Arc::default(),
        }
    }

    /// The channel to `address`.
    pub fn to(&self, address: &str) -> Result<ServiceChannel, AddressError> {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(address) {
            return Ok(channel.clone());
        }
        let channel = channel(address, self.token.as_ref())?;
        if open.len() >= MAX_CHANNELS {
            // Those in use stay open for as long as they are used.
            open.clear();
        }
        open.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

/// Puts the service token on outgoing calls, or checks it on incoming ones.
#[derive(Debug, Clone)]
pub struct Token {
    value: Option<MetadataValue<Ascii>>,
}

impl Token {
    /// Sends `token`; nothing when there is none.
    pub fn new(token: Option<&Secret<String>>) -> Self {
        let value = token.and_then(|token| MetadataValue::try_from(token.expose()).ok());
        Self { value }
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.value {
            request.metadata_mut().insert(TOKEN_KEY, value.clone());
        }
        Ok(request)
    }
}

/// Refuses calls without the service token, when one is configured.
#[derive(Debug, Clone)]
pub struct RequireToken {
    expected: Option<Secret<String>>,
}

impl RequireToken {
    /// Requires `token`; everything passes when there is none (embedded, on loopback).
    pub fn new(token: Option<&Secret<String>>) -> Self {
        Self {
            expected: token.cloned(),
        }
    }
}

impl Interceptor for RequireToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(expected) = &self.expected else {
            return Ok(request);
        };
        let given = request
            .metadata()
            .get(TOKEN_KEY)
            .map_or(&b""[..], MetadataValue::as_bytes);
        if bool::from(given.ct_eq(expected.expose().as_bytes())) {
            Ok(request)
        } else {
            metrics::counter!("streamr_service_token_refused_total").increment(1);
            Err(Status::unauthenticated(
                "service token missing or wrong; set STREAMR__SERVICE_TOKEN alike everywhere",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_token_passes() {
        let secret = Secret::new("s3cret".to_owned());
        let mut guard = RequireToken::new(Some(&secret));
        assert!(guard.call(Request::new(())).is_err());
        let wrong = Secret::new("s3cre".to_owned());
        assert!(
            guard
                .call(Token::new(Some(&wrong)).call(Request::new(())).unwrap())
                .is_err()
        );
        assert!(
            guard
                .call(Token::new(Some(&secret)).call(Request::new(())).unwrap())
                .is_ok()
        );
    }
}
