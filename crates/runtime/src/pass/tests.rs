//! Two listeners: one passes on, the other takes.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{
        Request as Asked, State,
        ws::{Message, WebSocketUpgrade},
    },
    response::IntoResponse,
    routing::{any, get},
};
use futures::stream;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::Secret;

use super::*;
use crate::{
    gate::Limits,
    http::{Server, listen},
};

const LIMITS: Limits = Limits {
    total: 100,
    per_address: 100,
};

fn tokens(text: &str) -> ServiceTokens {
    ServiceTokens::of(&Secret::new(text.to_owned())).unwrap()
}

fn serve(router: Router, shutdown: &Shutdown) -> SocketAddr {
    let listener = listen("test", "test.bind", ([127, 0, 0, 1], 0).into()).unwrap();
    let server = Server::new("test", listener, None, LIMITS);
    let address = server.local_addr().unwrap();
    shutdown.spawn(server.serve(router, shutdown.clone()));
    address
}

async fn taking(State(tokens): State<ServiceTokens>, mut request: Asked) -> impl IntoResponse {
    match take(&mut request, &tokens) {
        Err(refused) => (StatusCode::UNAUTHORIZED, refused.to_string()),
        Ok(taken) => {
            let peer = request.extensions().get::<Peer>().unwrap().0;
            let ours = request
                .headers()
                .keys()
                .filter(|name| name.as_str().starts_with(OURS))
                .count();
            let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
            let path = request.uri().path_and_query().unwrap().to_string();
            (
                StatusCode::OK,
                format!("{taken} {peer} {ours} {host} {path}"),
            )
        }
    }
}

/// Who takes, and who passes on to it with `sent`.
fn two(sent: &str, shutdown: &Shutdown) -> (SocketAddr, SocketAddr) {
    let right = tokens("the-right-service-token");
    let grpc = async |Extension(Peer(_)): Extension<Peer>, body: Bytes| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("7"));
        let frames = [
            Ok::<_, Infallible>(http_body::Frame::data(body)),
            Ok(http_body::Frame::trailers(trailers)),
        ];
        let body = http_body_util::StreamBody::new(stream::iter(frames));
        Body::new(body)
    };
    let echo = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
        })
    };
    let inner = Router::new()
        .route("/who", any(taking))
        .route("/grpc", any(grpc))
        .route("/echo", get(echo))
        .with_state(right);
    let inner = serve(inner, shutdown);
    let (sent, life) = (tokens(sent), shutdown.child());
    let outer = Router::new().fallback(async move |request: Asked| {
        let line = Line::open(&format!("http://{inner}")).await.unwrap();
        line.pass(request, &sent, &life, ()).await.unwrap()
    });
    (inner, serve(outer, shutdown))
}

async fn say(to: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn who_asked_is_told_on_and_believed_by_token_alone() {
    let shutdown = Shutdown::new();
    let (inner, outer) = two("the-right-service-token", &shutdown);
    let forged = "GET /who?a=b HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\
        x-streamr-peer: 192.0.2.1:5\r\nx-streamr-else: x\r\n\r\n";
    let said = say(outer, forged).await;
    assert!(said.contains("true 127.0.0.1:"), "{said}");
    assert!(said.ends_with(" 0 a.example /who?a=b"), "{said}");
    // Whoever says so by himself is not believed.
    let said = say(inner, forged).await;
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    let (_, wrong) = two("the-wrong-service-token", &shutdown);
    let said = say(wrong, forged).await;
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    shutdown.drain().await;
}

#[tokio::test]
async fn a_connection_changes_its_protocol_through_it() {
    let shutdown = Shutdown::new();
    let (_, outer) = two("the-right-service-token", &shutdown);
    let mut stream = TcpStream::connect(outer).await.unwrap();
    let head = "GET /echo HTTP/1.1\r\nhost: a.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    // A text frame of two letters, masked with zeroes, and its echo.
    stream
        .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
        .await
        .unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(echo, [0x81, 2, b'h', b'i']);
    // What goes through ends with the process.
    assert!(shutdown.drain().await);
    assert_eq!(stream.read(&mut echo).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn trailers_come_through() {
    let shutdown = Shutdown::new();
    let (_, outer) = two("the-right-service-token", &shutdown);
    let stream = TcpStream::connect(outer).await.unwrap();
    let owner = Owner(shutdown.clone());
    let (mut sender, connection) = conn::http2::handshake(owner, TokioIo::new(stream))
        .await
        .unwrap();
    shutdown.spawn_until_cancelled(async move {
        let _ = connection.await;
    });
    let request = Request::post(format!("http://{outer}/grpc"))
        .header(header::CONTENT_TYPE, "application/grpc+proto")
        .header(header::TE, "trailers")
        .body(Body::from("asked"))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "7");
    assert_eq!(body.to_bytes(), "asked");
    shutdown.drain().await;
}
