//! Passing a request on to another process of ours as it came, and taking one that was passed on.
//!
//! One connection for each request: WebSockets and HTTP/2 streams go through as they are, nothing is gathered on the
//! way, and one that is slow holds up nobody. What is passed on carries a service token and the address of who asked;
//! that address is believed of nobody without the token.

use std::{io, net::SocketAddr, time::Duration};

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
};
use http_body_util::BodyExt;
use hyper::{client::conn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    ServiceTokens, Shutdown,
    grpc::{CONNECT_TIMEOUT, TOKEN_KEY},
    http::Peer,
};

/// Who asked, as `address:port`.
const PEER: HeaderName = HeaderName::from_static("x-streamr-peer");
/// What our headers begin with; nobody else's are passed on.
const OURS: &str = "x-streamr-";
/// How long the other may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long both sides may take to change protocols once the other agreed.
const CHANGING: Duration = Duration::from_secs(10);
/// HTTP/2 windows, as of our listeners.
const WINDOW: u32 = 256 * 1024;
/// What concerns one connection and not the next (RFC 9110 §7.6.1).
const OF_A_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// Why a request can't be passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// An address that is no `http://host:port`.
    #[error("{0:?} is no service address; write http://host:port")]
    Address(String),
    /// Nobody answers there.
    #[error("can't connect: {0}")]
    Connect(#[from] io::Error),
    /// It does not answer in time.
    #[error("no answer in time")]
    Silent,
    /// The request can't be written another way.
    #[error(transparent)]
    Request(#[from] http::Error),
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
}

/// A passed-on request without a good service token.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("service token missing or wrong; set STREAMR__SERVICE_TOKEN alike everywhere")]
pub struct Refused;

/// Takes a request that another process passed on: who asked there becomes its [`Peer`]. `false`: it came by itself.
pub fn take<B>(request: &mut Request<B>, tokens: &ServiceTokens) -> Result<bool, Refused> {
    let Some(peer) = request.headers_mut().remove(PEER) else {
        return Ok(false);
    };
    let token = request.headers_mut().remove(TOKEN_KEY);
    let peer: Option<SocketAddr> = peer.to_str().ok().and_then(|text| text.parse().ok());
    let given = token.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    match peer.filter(|_| tokens.accepts(given)) {
        Some(peer) => {
            request.extensions_mut().insert(Peer(peer));
            Ok(true)
        }
        None => {
            metrics::counter!("streamr_service_token_refused_total").increment(1);
            Err(Refused)
        }
    }
}

/// A connection to another process, for one request.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    authority: String,
}

/// Tasks of a connection end with what they are part of.
#[derive(Clone)]
struct Owner(Shutdown);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Owner {
    fn execute(&self, task: F) {
        self.0.spawn_until_cancelled(task);
    }
}

impl Line {
    /// Connects to `address` (`http://host:port`).
    pub async fn open(address: &str) -> Result<Self, PassError> {
        let wrong = || PassError::Address(address.to_owned());
        let authority = address
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|rest| rest.contains(':') && !rest.contains('/'))
            .ok_or_else(wrong)?;
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(authority))
            .await
            .map_err(|_| PassError::Silent)??;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            authority: authority.to_owned(),
        })
    }

    /// Passes the request on. Everything ends with `life`; `held` is kept for as long as anything goes through.
    pub async fn pass<H: Send + Sync + 'static>(
        self,
        mut request: Request<Body>,
        tokens: &ServiceTokens,
        life: &Shutdown,
        held: H,
    ) -> Result<Response<Body>, PassError> {
        let is_http2 = request.version() == Version::HTTP_2 && is_grpc(request.headers());
        let protocol = protocol(&request);
        let theirs = protocol.as_ref().map(|_| hyper::upgrade::on(&mut request));
        let request = self.readdress(request, tokens, protocol, is_http2)?;
        if is_http2 {
            return self.pass_http2(request, life, held).await;
        }
        let (mut sender, connection) = conn::http1::handshake(TokioIo::new(self.stream)).await?;
        life.spawn_until_cancelled(async move {
            // What goes wrong is told to whoever waits for the answer.
            let _ = connection.with_upgrades().await;
        });
        let mut response = timeout(ANSWER, sender.send_request(request))
            .await
            .map_err(|_| PassError::Silent)??;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(theirs) = theirs {
                join(theirs, hyper::upgrade::on(&mut response), life, held);
            }
            return Ok(response.map(Body::new));
        }
        for name in &OF_A_CONNECTION {
            response.headers_mut().remove(name);
        }
        Ok(response.map(|body| hold(body, (sender, held))))
    }

    async fn pass_http2<H: Send + Sync + 'static>(
        self,
        request: Request<Body>,
        life: &Shutdown,
        held: H,
    ) -> Result<Response<Body>, PassError> {
        let (mut sender, connection) = conn::http2::Builder::new(Owner(life.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(TokioIo::new(self.stream))
            .await?;
        life.spawn_until_cancelled(async move {
            // As above.
            let _ = connection.await;
        });
        let response = timeout(ANSWER, sender.send_request(request))
            .await
            .map_err(|_| PassError::Silent)??;
        Ok(response.map(|body| hold(body, (sender, held))))
    }

    /// The same request to the other process, with our token and who asked.
    fn readdress(
        &self,
        request: Request<Body>,
        tokens: &ServiceTokens,
        protocol: Option<HeaderValue>,
        is_http2: bool,
    ) -> Result<Request<Body>, PassError> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().cloned();
        parts.uri = if is_http2 {
            let path = path.map_or_else(|| "/".to_owned(), |path| path.to_string());
            format!("http://{}{path}", self.authority)
                .parse()
                .map_err(http::Error::from)?
        } else {
            path.map_or_else(|| Uri::from_static("/"), Uri::from)
        };
        parts.version = if is_http2 {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        parts.extensions.clear();
        let headers = &mut parts.headers;
        let foreign: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with(OURS))
            .cloned()
            .collect();
        for name in OF_A_CONNECTION.iter().chain(&foreign) {
            headers.remove(name);
        }
        if let Some(protocol) = protocol {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol);
        }
        let peer = peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        let peer = HeaderValue::try_from(peer.to_string()).map_err(http::Error::from)?;
        headers.insert(PEER, peer);
        if let Some(token) = tokens.sent() {
            let mut token = HeaderValue::from_bytes(token.as_bytes()).map_err(http::Error::from)?;
            token.set_sensitive(true);
            headers.insert(TOKEN_KEY, token);
        }
        Ok(Request::from_parts(parts, body))
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// What an HTTP/1 request wants its connection to become.
fn protocol<B>(request: &Request<B>) -> Option<HeaderValue> {
    let asks = request
        .headers()
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = request.headers().get(header::UPGRADE);
    protocol.filter(|_| asks).cloned()
}

/// A body that keeps something until it is over.
fn hold<H: Send + Sync + 'static>(body: hyper::body::Incoming, held: H) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &held;
        frame
    }))
}

/// Carries what two upgraded connections say, until either ends.
fn join<H: Send + 'static>(theirs: OnUpgrade, ours: OnUpgrade, life: &Shutdown, held: H) {
    life.spawn_until_cancelled(async move {
        let _held = held;
        let both = async { tokio::try_join!(theirs, ours) };
        if let Ok(Ok((theirs, ours))) = timeout(CHANGING, both).await {
            let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
            // Either side's end is the other's.
            let _ = tokio::io::copy_bidirectional(&mut theirs, &mut ours).await;
        }
    });
}

#[cfg(test)]
mod tests;
