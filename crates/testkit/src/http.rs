//! Plain HTTP requests, answered whole.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// An answer in memory.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, as sent unless the client decodes.
    pub body: Bytes,
}

impl Answer {
    /// A header's text, or an empty one.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client that decodes nothing and follows nothing, for looking at what a server really sends.
pub fn client() -> Result<Client> {
    // Another client of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_gzip()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_mins(1))
        .build()
        .context("build a HTTP client")
}

/// [`client`] without kept connections: one that outlives the runtime of a test.
pub(crate) fn unpooled_client() -> Result<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(20))
        .build()
        .context("build a HTTP client")
}

/// Any request without a body.
pub async fn request(
    client: &Client,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<Answer> {
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request
        .send()
        .await
        .with_context(|| format!("ask for {url}"))?;
    Ok(Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response
            .bytes()
            .await
            .with_context(|| format!("read {url}"))?,
    })
}

/// A GET.
pub async fn get(client: &Client, url: &str) -> Result<Answer> {
    request(client, Method::GET, url, &[]).await
}

/// A GET that must be answered with 200.
pub async fn fetch(client: &Client, url: &str) -> Result<Answer> {
    let answer = get(client, url).await?;
    ensure!(
        answer.status == StatusCode::OK,
        "{url} was answered with {}: {}",
        answer.status,
        answer.text()
    );
    Ok(answer)
}

/// What a server says to raw `bytes` until it closes or is silent for `patience`.
pub async fn say(address: SocketAddr, bytes: &[u8], patience: Duration) -> Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await?;
    say_on(stream, bytes, patience).await
}

/// [`say`] on a connection that is there already.
pub async fn say_on<S>(mut stream: S, bytes: &[u8], patience: Duration) -> Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut heard = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    // A server may hang up on garbage before it has read all of it.
    let _ = stream.write_all(bytes).await;
    while let Ok(Ok(size)) = tokio::time::timeout(patience, stream.read(&mut buffer)).await {
        if size == 0 {
            break;
        }
        heard.extend_from_slice(&buffer[..size]);
        if heard.len() > 1 << 20 {
            break;
        }
    }
    Ok(heard)
}
