//! A node's pulling, by hand: whatever an edge gives under the session it was given.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use peer::Peer;
use proto::node::StreamWork;
use reqwest::Client;
use serde::Deserialize;
use tokio::time::sleep;
use types::{Epoch, Msn, StreamId};

use super::{super::window::Window, Seen};
use crate::http;

/// Between two looks for new segments.
const EVERY: Duration = Duration::from_millis(300);

#[derive(Deserialize)]
struct Listed {
    epoch: Epoch,
    msn: Msn,
}

#[derive(Deserialize)]
struct List {
    digests: Vec<Listed>,
}

/// One stream's pull. It goes on whatever the edge says.
pub(super) struct Pull {
    pub(super) stream: StreamId,
    pub(super) work: StreamWork,
    pub(super) window: Arc<Window>,
    pub(super) peer: Peer,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Pull {
    pub(super) async fn run(self) {
        let Ok(client) = http::client() else { return };
        loop {
            if let Err(error) = self.round(&client).await {
                self.seen.lock().trouble = format!("{error:#}");
            }
            sleep(EVERY).await;
        }
    }

    fn live(&self) -> Result<String> {
        let edge = self.work.edges.first().context("no edge is named")?;
        let stream = self.work.stream.as_ref().context("no stream is named")?;
        Ok(format!(
            "{}/live/{}",
            edge.trim_end_matches('/'),
            stream.slug
        ))
    }

    async fn get(&self, client: &Client, url: &str) -> Result<http::Answer> {
        let answer = http::get(client, url).await?;
        let status = answer.status.as_u16();
        self.seen.lock().edge_status = Some(status);
        anyhow::ensure!(status == 200, "{url}: {status}");
        Ok(answer)
    }

    async fn round(&self, client: &Client) -> Result<()> {
        let live = self.live()?;
        let newest = self.window.newest();
        if newest.is_none() {
            let url = format!("{live}/friends.m3u8?token={}", self.work.token);
            self.get(client, &url).await?;
        }
        let after = newest.map_or_else(String::new, |msn| format!("?after={msn}"));
        let session = format!("{live}/s/{}", self.work.session_id);
        let list = self
            .get(client, &format!("{session}/digests{after}"))
            .await?;
        let list: List = serde_json::from_slice(&list.body)?;
        for Listed { epoch, msn } in list.digests {
            let url = format!("{session}/{epoch}/{msn}.m4s");
            let segment = self.get(client, &url).await?;
            self.window.add(msn, segment.body);
            self.peer.changed(self.stream).await;
        }
        Ok(())
    }
}
