//! The local page and its API, on loopback only: what `status` prints, and the friend's switch and limits.
//!
//! Other pages in the friend's browser may not use it: the host must be a loopback name (a foreign name that
//! resolves here is refused), and a change needs a token that only our page holds.

mod status;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, patch, put},
};
use runtime::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub(crate) use self::status::Status;
use crate::{
    error::Error,
    node::Node,
    settings::{self, LimitsChange},
};

/// Where a running node's page is, for `status`.
pub(crate) const FILE: &str = "page.json";
/// Ports that are tried after the wanted one.
const MORE_PORTS: u16 = 20;
const TOKEN: &str = "x-streamr-token";
const HTML: &str = include_str!("page/page.html");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where a page is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    /// On loopback.
    pub(crate) port: u16,
}

/// The page, bound.
pub(crate) struct Page {
    listener: TcpListener,
    address: SocketAddr,
    local: Local,
}

#[derive(Clone)]
struct Local {
    node: Arc<Node>,
    token: Arc<str>,
    port: u16,
}

impl Page {
    /// Binds the port, or the next free one.
    pub(crate) async fn open(node: Arc<Node>, port: u16) -> Result<Self, Error> {
        let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let last = if port == 0 {
            0
        } else {
            port.saturating_add(MORE_PORTS)
        };
        let mut tried = Err(std::io::ErrorKind::AddrInUse.into());
        for port in port..=last {
            tried = TcpListener::bind(at(port)).await;
            match &tried {
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                _ => break,
            }
        }
        let failed = |source| Error::Page {
            address: at(port),
            source,
        };
        let listener = tried.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let place = serde_json::to_string(&Place {
            port: address.port(),
        })
        .unwrap_or_default();
        node.data.write(FILE, place.as_bytes())?;
        let token: [u8; 16] = rand::random();
        let local = Local {
            node,
            token: hex::encode(token).into(),
            port: address.port(),
        };
        Ok(Self {
            listener,
            address,
            local,
        })
    }

    /// Where it is.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the node stops.
    pub(crate) async fn serve(self, shutdown: Shutdown) {
        let routes = routes(self.local);
        let until = async move { shutdown.cancelled().await };
        let served = axum::serve(self.listener, routes).with_graceful_shutdown(until);
        if let Err(error) = served.await {
            tracing::error!(%error, "local page ended");
        }
    }
}

fn routes(local: Local) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/api/status", get(status))
        .route("/api/help", put(help))
        .route("/api/limits", patch(limits))
        .layer(middleware::from_fn_with_state(local.clone(), guard))
        .with_state(local)
}

/// Refuses what does not come from our page, or from the command line.
async fn guard(State(local): State<Local>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let port = local.port;
    let ours = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
    if !ours.iter().any(|ours| ours == host) {
        return refuse(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            "open the page at its own address",
        );
    }
    if text(header::ORIGIN)
        .is_some_and(|origin| !ours.iter().any(|o| origin == format!("http://{o}")))
    {
        return refuse(
            StatusCode::FORBIDDEN,
            "origin",
            "another page may not use this one",
        );
    }
    if !request.method().is_safe() && !holds_token(headers, &local.token) {
        return refuse(StatusCode::FORBIDDEN, "token", "load the page again");
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn holds_token(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get(TOKEN)
        .is_some_and(|value| value.as_bytes() == token.as_bytes())
}

fn refuse(status: StatusCode, reason: &'static str, said: &'static str) -> Response {
    tracing::info!(reason, "local page refused");
    (status, said).into_response()
}

async fn page(State(local): State<Local>) -> Html<String> {
    Html(HTML.replace("{{token}}", &local.token))
}

async fn status(State(local): State<Local>) -> Json<Status> {
    Json(Status::of(&local.node).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Help {
    on: bool,
}

async fn help(State(local): State<Local>, Json(help): Json<Help>) -> Json<Status> {
    local.node.memory.lock().help = help.on;
    tracing::info!(on = help.on, "switched");
    local.node.save();
    local.node.tell();
    Json(Status::of(&local.node).await)
}

async fn limits(State(local): State<Local>, Json(change): Json<LimitsChange>) -> Response {
    let node = &local.node;
    match settings::change(&node.data, &node.flags, &change) {
        Ok(limits) => {
            *node.limits.lock() = limits;
            node.keep_pace().await;
            node.tell();
            Json(Status::of(node).await).into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
