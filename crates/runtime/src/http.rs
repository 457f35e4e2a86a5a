//! HTTP listeners: HTTP/1 and HTTP/2, plain or TLS, with limits and drain. gRPC is served here too.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{HeaderValue, Request, header};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;

use crate::{
    Gate, Shutdown,
    gate::{Limits, Permit},
    head_deadline::{HeadDeadline, Served},
    log::Seldom,
    tls::ServerConfig,
};

/// How long an HTTP/1 connection may idle between requests: longer than any playlist interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// The accept loop's pause after an error that is not the peer's (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Says that connections can't be accepted.
static ACCEPT_SAID: Seldom = Seldom::new();
/// Request heads are small; a viewer's connection costs no more than this.
const HEAD_BYTES: usize = 16 * 1024;
/// HTTP/2 windows: small, so that a slow subscriber is seen by its queue and not hidden in buffers.
const H2_WINDOW: u32 = 256 * 1024;

/// The listener whose process orders certificates: the coordinator's public one, for which TLS-ALPN-01 asks.
const ORDERS_CERTIFICATES: &str = "coordinator";

/// A port that can't be had.
#[derive(Debug, thiserror::Error)]
#[error("{name}: can't listen on {address}: {source}; {remedy}")]
pub struct BindError {
    name: &'static str,
    address: SocketAddr,
    remedy: String,
    source: io::Error,
}

/// Binds `address` for `name`; `key` is the configuration key that changes it.
pub fn listen(
    name: &'static str,
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, BindError> {
    let fail = |source: io::Error| {
        let remedy = if source.kind() == io::ErrorKind::AddrInUse {
            let owner = crate::port_owner::describe(address.port())
                .map_or_else(String::new, |owner| format!("it is taken by {owner}; "));
            format!(
                "{owner}stop what holds it, or set {} ({key}) to another address",
                env_name(key)
            )
        } else {
            format!(
                "set {} ({key}) to an address this machine has",
                env_name(key)
            )
        };
        BindError {
            name,
            address,
            remedy,
            source,
        }
    };
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()
    } else {
        tokio::net::TcpSocket::new_v6()
    }
    .map_err(fail)?;
    socket.set_reuseaddr(true).map_err(fail)?;
    socket.bind(address).map_err(fail)?;
    socket.listen(1024).map_err(fail)
}

/// The environment variable of a configuration key: `ingest.bind` is `STREAMR__INGEST__BIND`.
pub fn env_name(key: &str) -> String {
    format!("STREAMR__{}", key.to_uppercase().replace('.', "__"))
}

/// The peer's address, as an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Accepts the next connection, waiting out a lack of descriptors or memory.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                metrics::counter!("streamr_accept_errors_total").increment(1);
                if let Some(unsaid) = ACCEPT_SAID.say() {
                    tracing::warn!(%error, unsaid, "connections can't be accepted; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A bound HTTP listener.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    gate: Gate,
}

impl Server {
    /// A server on `listener`; `name` labels its metrics.
    pub fn new(
        name: &'static str,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        limits: Limits,
    ) -> Self {
        Self {
            name,
            listener,
            tls,
            gate: Gate::new(name, limits),
        }
    }

    /// Where it listens; tests bind port 0 and ask.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `router` until `shutdown`, then lets connections finish what they are at. Certificates are kept
    /// current meanwhile.
    pub async fn serve(self, router: Router, shutdown: Shutdown) {
        if let Some(tls) = &self.tls {
            tls.keep_current(&shutdown);
            if self.name == ORDERS_CERTIFICATES {
                tls.keep_ordered(&self.listener, &shutdown);
            }
        }
        self.accept_all(router, shutdown).await;
    }

    pub(crate) async fn accept_all(self, router: Router, shutdown: Shutdown) {
        loop {
            let (stream, peer) = tokio::select! {
                accepted = accept(&self.listener) => accepted,
                () = shutdown.cancelled() => return,
            };
            let Ok(permit) = self.gate.admit(peer.ip()) else {
                continue;
            };
            // Small writes (playlists, parts) must not wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            let connection = Connection {
                router: router.clone(),
                peer,
                permit,
                name: self.name,
            };
            let (tls, shutdown_of_connection) = (self.tls.clone(), shutdown.clone());
            shutdown.spawn(async move {
                match tls {
                    None => connection.serve(stream, shutdown_of_connection).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            connection.serve(stream, shutdown_of_connection).await;
                        }
                    }
                }
            });
        }
    }
}

/// HTTP/2 names the host in `:authority`; handlers look for it in one place.
fn name_host<B>(request: &mut Request<B>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let authority = request.uri().authority().map(ToString::to_string);
    if let Some(host) = authority.and_then(|name| HeaderValue::try_from(name).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Answers a request; a connection that changes its protocol has no more heads to wait for.
async fn answer(
    router: Router,
    request: Request<Body>,
    served: Served,
) -> Result<axum::response::Response, std::convert::Infallible> {
    let response = router.oneshot(request).await?;
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        served.upgraded();
    }
    served.answered();
    Ok(response)
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    permit: Permit,
    name: &'static str,
}

impl Connection {
    async fn serve<S>(self, stream: S, shutdown: Shutdown)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            peer,
            permit,
            name,
        } = self;
        let stream = HeadDeadline::new(stream, true);
        let served = stream.served();
        let service =
            hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                name_host(&mut request);
                answer(router.clone(), request.map(Body::new), served.clone())
            });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(HEAD_BYTES.max(8192));
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(H2_WINDOW)
            .initial_connection_window_size(H2_WINDOW * 4)
            .max_concurrent_streams(256)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(Duration::from_secs(2), connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = result {
            tracing::debug!(listener = name, %peer, error = %error, "connection");
        }
        drop(permit);
    }
}
