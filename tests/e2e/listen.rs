//! A stream's live state as events, read as the pages read it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Response;
use serde_json::{Value, json};
use testkit::{Fixture, Source, http};
use tokio::time::Instant;

use crate::support::{SOON, scenario, shared};

/// Events as they come.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(url: &str, bearer: Option<&str>) -> Result<Self> {
        let mut request = http::client()?.get(url);
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?.error_for_status()?;
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        ensure!(kind == Some("text/event-stream"), "{kind:?}");
        Ok(Self {
            response,
            text: String::new(),
        })
    }

    /// The next event: its name and data.
    async fn next(&mut self) -> Result<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::trim)
                        .map(str::to_owned)
                };
                let found = field("event:").zip(field("data:"));
                self.text = String::from(rest);
                if let Some((name, data)) = found {
                    return Ok((name, serde_json::from_str(&data)?));
                }
                continue;
            }
            let chunk = self.response.chunk().await?.context("the events ended")?;
            self.text.push_str(std::str::from_utf8(&chunk)?);
        }
    }

    /// The next event named `name` that `wanted` wants.
    async fn until(
        &mut self,
        name: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let waiting = async {
            loop {
                let (event, data) = self.next().await?;
                if event == name && wanted(&data) {
                    return Ok(data);
                }
            }
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(found) => found,
            Err(_) => bail!("no event {name} within {limit:?}"),
        }
    }
}

#[tokio::test]
async fn listeners_hear_a_stream_go_live_and_end() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let stream = owner.stream("heard", "public").await?;
        let url = format!("{}/api/v1/streams/heard/events", sandbox.pages());
        let mut stranger = Events::open(&url, None).await?;
        let mut own = Events::open(&url, Some(&owner.token)).await?;
        let first = stranger.until("stream", SOON, |_| true).await?;
        ensure!(
            first["state"] == "ready" && first["mine"] == false && first["ingest"].is_null(),
            "{first}"
        );
        let fixture = Fixture::plain().await?;
        let began = Instant::now();
        let publication = Source::new(&fixture)
            .publish(sandbox.rtmp(), &stream.key)
            .await?;
        // Two seconds are promised from the first bytes; three times that is waited.
        stranger
            .until("stream", Duration::from_secs(6), |data| {
                data["state"] == "live"
            })
            .await?;
        let took = began.elapsed();
        ensure!(took < Duration::from_secs(6), "{took:?}");
        let health = own
            .until("health", SOON, |data| {
                data["bitrate_bps"].as_u64().is_some_and(|bps| bps > 10_000)
            })
            .await?;
        ensure!(
            health["now"]["sentence"].is_string() && health["now"]["level"].is_string(),
            "{health}"
        );
        owner
            .patch("/streams/heard", &json!({ "title": "Another title" }))
            .await?;
        stranger
            .until("stream", SOON, |data| data["title"] == "Another title")
            .await?;
        let history = owner.get("/streams/heard/health").await?;
        ensure!(
            history["samples"]
                .as_array()
                .is_some_and(|samples| !samples.is_empty()),
            "{history}"
        );
        drop(publication);
        stranger
            .until("stream", SOON, |data| data["reconnecting"] == true)
            .await?;
        owner
            .post("/streams/heard/state", &json!({ "state": "offline" }))
            .await?;
        stranger
            .until("stream", SOON, |data| data["state"] == "offline")
            .await?;
        owner
            .patch("/streams/heard", &json!({ "visibility": "private" }))
            .await?;
        stranger.until("gone", SOON, |_| true).await?;
        own.until("stream", SOON, |data| data["visibility"] == "private")
            .await?;
        Ok(())
    })
    .await
}
