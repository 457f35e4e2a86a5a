//! A sandbox's streams: making them, and how the API shows them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Sandbox;
use crate::{eventually, http};

/// A stream with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name in URLs.
    pub slug: String,
    /// Its stream key.
    pub key: String,
}

/// A stream as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamView {
    /// `ready`, `live` or `offline`.
    pub state: String,
    /// Its publisher is gone and may return.
    pub reconnecting: bool,
    /// How many watch.
    pub viewers: u32,
    /// What the publisher sends.
    pub health: Option<serde_json::Value>,
}

impl Sandbox {
    /// The stream that is there from the start.
    pub fn first_stream() -> Stream {
        Stream {
            slug: "live".to_owned(),
            key: "first-stream-key-of-a-test".to_owned(),
        }
    }

    /// Makes a stream with `streamr stream add`.
    pub async fn add_stream(&self, slug: &str) -> Result<Stream> {
        let key = self.key_of(&["stream", "add", slug]).await?;
        Ok(Stream {
            slug: slug.to_owned(),
            key,
        })
    }

    /// Makes a stream a new key with `streamr key`.
    pub async fn new_key(&self, slug: &str) -> Result<Stream> {
        let key = self.key_of(&["key", slug]).await?;
        Ok(Stream {
            slug: slug.to_owned(),
            key,
        })
    }

    async fn key_of(&self, arguments: &[&str]) -> Result<String> {
        let output = self.streamr(arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "streamr {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        let word = last.and_then(|line| line.split_whitespace().last());
        let key = word.with_context(|| format!("streamr {arguments:?} printed no key"))?;
        Ok(key.to_owned())
    }

    /// A stream as the API shows it now.
    pub async fn view(&self, slug: &str) -> Result<StreamView> {
        let url = format!("{}/api/v1/streams/{slug}", self.pages());
        let answer = http::fetch(&self.client, &url).await?;
        serde_json::from_slice(&answer.body).with_context(|| format!("{url}: {}", answer.text()))
    }

    /// Waits until the API shows a stream as `wanted` wants it.
    pub async fn view_until(
        &self,
        slug: &str,
        limit: Duration,
        wanted: impl Fn(&StreamView) -> bool,
    ) -> Result<StreamView> {
        eventually(
            limit,
            &format!("the API shows {slug} as expected"),
            || async {
                let view = self.view(slug).await?;
                ensure!(wanted(&view), "it is {view:?}");
                Ok(Some(view))
            },
        )
        .await
    }
}
