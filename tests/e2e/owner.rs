//! The owner of a sandbox, who has an account and calls the API.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use testkit::{Builder, Fixture, Publication, Sandbox, Source, http};

use crate::support::SOON;

const EMAIL: &str = "owner@streamr.test";
const PASSWORD: &str = "a-long-password-of-a-test";

/// A sandbox that has an owner.
pub(crate) fn owned(builder: Builder) -> Builder {
    builder
        .set("BOOTSTRAP__EMAIL", EMAIL)
        .set("BOOTSTRAP__PASSWORD", PASSWORD)
}

/// The owner, logged in.
pub(crate) struct Owner<'a> {
    sandbox: &'a Sandbox,
    client: Client,
    token: String,
}

/// What a viewer is given: a token, and where it plays.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) session: String,
    pub(crate) token: String,
    pub(crate) playlist: String,
    pub(crate) friends: String,
    pub(crate) rtmp: String,
}

fn text(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("no {key} in {value}"))?
        .to_owned())
}

impl<'a> Owner<'a> {
    /// Logs in.
    pub(crate) async fn log_in(sandbox: &'a Sandbox) -> Result<Self> {
        let mut owner = Self {
            sandbox,
            client: http::client()?,
            token: String::new(),
        };
        let login = json!({ "email": EMAIL, "password": PASSWORD });
        let answer = owner.call(Method::POST, "auth/login", Some(login)).await?;
        owner.token = text(&answer, "access_token")?;
        Ok(owner)
    }

    /// Calls the API, which must be content.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let url = format!("{}/api/v1/{path}", self.sandbox.pages());
        let mut request = self.client.request(method, &url);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, bytes) = (answer.status(), answer.bytes().await?);
        let said = String::from_utf8_lossy(&bytes);
        ensure!(status.is_success(), "{url}: {status} {said}");
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).with_context(|| format!("{url}: {said}"))
    }

    /// Makes a stream and publishes `fixture` to it; it is live.
    pub(crate) async fn live(
        &self,
        slug: &str,
        visibility: &str,
        fixture: &Fixture,
    ) -> Result<Publication> {
        let stream = json!({ "title": slug, "slug": slug, "visibility": visibility });
        let made = self.call(Method::POST, "streams", Some(stream)).await?;
        let key = text(&made, "stream_key")?;
        let publication = Source::new(fixture)
            .publish(self.sandbox.rtmp(), &key)
            .await?;
        testkit::eventually(SOON, "the stream is live", || async {
            let stream = self.stream(slug).await?;
            Ok((stream["state"] == "live").then_some(()))
        })
        .await?;
        Ok(publication)
    }

    /// The stream as its owner sees it.
    pub(crate) async fn stream(&self, slug: &str) -> Result<Value> {
        self.call(Method::GET, &format!("streams/{slug}"), None)
            .await
    }

    /// Asks for a session.
    pub(crate) async fn ticket(&self, slug: &str) -> Result<Ticket> {
        let path = format!("streams/{slug}/sessions");
        let answer = self.call(Method::POST, &path, None).await?;
        Ok(Ticket {
            session: text(&answer, "session")?,
            token: text(&answer, "token")?,
            playlist: text(&answer, "playlist")?,
            friends: text(&answer, "friends_playlist")?,
            rtmp: text(&answer, "rtmp")?,
        })
    }

    /// Cuts a session off.
    pub(crate) async fn revoke(&self, slug: &str, ticket: &Ticket) -> Result<()> {
        let path = format!("streams/{slug}/sessions/{}", ticket.session);
        self.call(Method::DELETE, &path, None).await.map(drop)
    }

    /// Makes a stream public or private.
    pub(crate) async fn set_visibility(&self, slug: &str, visibility: &str) -> Result<()> {
        let change = json!({ "visibility": visibility });
        let path = format!("streams/{slug}");
        self.call(Method::PATCH, &path, Some(change))
            .await
            .map(drop)
    }

    /// Ends a stream.
    pub(crate) async fn end(&self, slug: &str) -> Result<()> {
        let path = format!("streams/{slug}/state");
        let offline = json!({ "state": "offline" });
        self.call(Method::POST, &path, Some(offline))
            .await
            .map(drop)
    }

    /// Switches a feature on or off.
    pub(crate) async fn switch(&self, flag: &str, enabled: bool) -> Result<()> {
        let path = format!("admin/flags/{flag}");
        let sent = json!({ "enabled": enabled });
        self.call(Method::PUT, &path, Some(sent)).await.map(drop)
    }
}
