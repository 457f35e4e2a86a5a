//! Internal gRPC: client channels, and service tokens on calls.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::{ServiceTokens, http::Peer, log::Seldom, trace};

/// The metadata key that carries the service token.
pub(crate) const TOKEN_KEY: &str = "x-streamr-service-token";
/// The deadline of a unary internal call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
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
pub fn channel(address: &str, tokens: &ServiceTokens) -> Result<ServiceChannel, AddressError> {
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
    Ok(InterceptedService::new(channel, Token::new(tokens)))
}

/// Channels kept open; addresses of ours are few.
const MAX_CHANNELS: usize = 256;

/// One channel per address, shared by every stream that goes there: a connection costs tasks and pings.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Channels {
    tokens: ServiceTokens,
    open: Arc<Mutex<HashMap<String, ServiceChannel>>>,
}

impl Channels {
    /// No channels yet; each will send the first of `tokens`.
    pub fn new(tokens: ServiceTokens) -> Self {
        Self {
            tokens,
            open: Arc::default(),
        }
    }

    /// The channel to `address`.
    pub fn to(&self, address: &str) -> Result<ServiceChannel, AddressError> {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(address) {
            return Ok(channel.clone());
        }
        let channel = channel(address, &self.tokens)?;
        if open.len() >= MAX_CHANNELS {
            // Those in use stay open for as long as they are used.
            open.clear();
        }
        open.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

/// Puts the service token on outgoing calls, and the trace they are part of.
#[derive(Debug, Clone)]
pub struct Token {
    tokens: ServiceTokens,
}

impl Token {
    /// Sends the first of `tokens`; nothing when there is none.
    pub fn new(tokens: &ServiceTokens) -> Self {
        Self {
            tokens: tokens.clone(),
        }
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = self.tokens.sent() {
            request.metadata_mut().insert(TOKEN_KEY, value);
        }
        let parent = trace::current();
        if let Ok(parent) = MetadataValue::try_from(parent)
            && !parent.is_empty()
        {
            request.metadata_mut().insert(trace::HEADER, parent);
        }
        Ok(request)
    }
}

/// Says that a call had none.
static REFUSED_SAID: Seldom = Seldom::new();

/// Refuses calls without one of the service tokens, when there are some.
#[derive(Debug, Clone)]
pub struct RequireToken {
    tokens: ServiceTokens,
}

impl RequireToken {
    /// Requires one of `tokens`.
    pub fn new(tokens: &ServiceTokens) -> Self {
        Self {
            tokens: tokens.clone(),
        }
    }
}

impl Interceptor for RequireToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let given = request
            .metadata()
            .get(TOKEN_KEY)
            .map_or(&b""[..], MetadataValue::as_bytes);
        if self.tokens.accepts(given) {
            return Ok(request);
        }
        metrics::counter!("streamr_service_token_refused_total").increment(1);
        if let Some(unsaid) = REFUSED_SAID.say() {
            let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
            tracing::warn!(
                ?peer,
                unsaid,
                "service token missing or wrong: a call is refused"
            );
        }
        Err(Status::unauthenticated(
            "service token missing or wrong; set STREAMR__SERVICE_TOKEN alike everywhere",
        ))
    }
}

#[cfg(test)]
mod tests {
    use types::Secret;

    use super::*;

    #[test]
    fn only_the_right_token_passes() {
        let tokens = |text: &str| ServiceTokens::of(&Secret::new(text.to_owned())).unwrap();
        let (right, wrong) = (
            tokens("the-right-service-token"),
            tokens("the-wrong-service-token"),
        );
        let mut guard = RequireToken::new(&right);
        assert!(guard.call(Request::new(())).is_err());
        let mut call = |tokens: &ServiceTokens| {
            let request = Token::new(tokens).call(Request::new(()))?;
            guard.call(request)
        };
        assert!(call(&wrong).is_err());
        assert!(call(&right).is_ok());
    }
}
