//! A viewer's session at the coordinator: opened, and spoken of in receipts and accusations.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use economy::{Receipt, Signature};
use ed25519_dalek::{Signer, SigningKey};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use types::{SessionId, StreamId};

use crate::{
    Sandbox,
    account::send,
    http::{self, Answer},
};

#[derive(Deserialize)]
struct Opened {
    session: SessionId,
    token: String,
    friends_playlist: String,
    swarm_id: StreamId,
    trackers: Vec<String>,
    stun: Vec<String>,
}

/// A session that is open.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its playback token.
    pub token: String,
    /// Of which stream.
    pub stream: StreamId,
    /// Where it is announced.
    pub trackers: Vec<String>,
    /// STUN servers, as WebRTC takes them.
    pub stun: Vec<String>,
    pub(super) playlist: String,
    pub(super) client: Client,
    key: SigningKey,
    base: String,
}

/// Now, as receipts tell the time.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

impl Session {
    /// Opens one, with a receipt key of its own. `friends`: it wants to be carried.
    pub async fn open(sandbox: &Sandbox, slug: &str, friends: bool) -> Result<Self> {
        Self::open_at(&sandbox.pages(), slug, friends).await
    }

    /// The same at the address of any server's pages.
    pub async fn open_at(pages: &str, slug: &str, friends: bool) -> Result<Self> {
        Self::open_by(&http::client()?, pages, slug, friends).await
    }

    /// The same by a client that others use too.
    pub async fn open_by(client: &Client, pages: &str, slug: &str, friends: bool) -> Result<Self> {
        let key = SigningKey::from_bytes(&rand::random());
        let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let body = json!({ "receipt_key": public, "friends": friends });
        let base = format!("{pages}/api/v1");
        let url = format!("{base}/streams/{slug}/sessions");
        let answer = send(client, Method::POST, &url, &[], Some(&body)).await?;
        ensure!(answer.status == 201, "{}: {}", answer.status, answer.text());
        let opened: Opened = serde_json::from_slice(&answer.body).context("a session")?;
        Ok(Self {
            id: opened.session,
            token: opened.token,
            stream: opened.swarm_id,
            trackers: opened.trackers,
            stun: opened.stun,
            playlist: opened.friends_playlist,
            client: client.clone(),
            key,
            base,
        })
    }

    /// Announces itself to the tracker at `origin` first.
    pub(super) fn prefer(&mut self, origin: &str) -> Result<()> {
        let host = origin.strip_prefix("http").context("an origin")?;
        self.trackers
            .insert(0, format!("ws{host}/t/{}", self.token));
        Ok(())
    }

    /// Who carries the session, as the coordinator at `origin` says when it is asked.
    pub async fn carriers(&self, origin: &str) -> Result<Vec<String>> {
        let url = format!(
            "{origin}/api/v1/sessions/{}/events?token={}",
            self.id, self.token
        );
        let mut answer = self.client.get(url).send().await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        let mut text = String::new();
        while let Some(chunk) = answer.chunk().await? {
            text += &String::from_utf8_lossy(&chunk);
            let told = text.lines().find_map(|line| line.strip_prefix("data:"));
            if let Some(told) = told.filter(|_| text.ends_with("\n\n")) {
                let view: Value = serde_json::from_str(told.trim())?;
                let nodes = view["nodes"].as_array().context("nodes")?;
                let names = nodes.iter().filter_map(|node| node["name"].as_str());
                return Ok(names.map(str::to_owned).collect());
            }
        }
        Err(anyhow::anyhow!("the events ended"))
    }

    async fn post(&self, what: &str, body: &Value) -> Result<Answer> {
        let url = format!("{}/sessions/{}/{what}", self.base, self.id);
        send(&self.client, Method::POST, &url, &[], Some(body)).await
    }

    /// Signs a receipt with the session's key.
    pub fn sign(&self, receipt: &Receipt) -> Signature {
        Signature(self.key.sign(&receipt.message()).to_bytes())
    }

    /// Sends a receipt, whoever signed it.
    pub async fn send(&self, receipt: &Receipt, signature: Signature) -> Result<Answer> {
        let nodes = receipt.nodes.iter();
        let nodes = nodes.map(|(node, bytes)| json!({ "node": node, "bytes": bytes.get() }));
        let sent = json!({
            "epoch": receipt.epoch,
            "counter": receipt.counter,
            "at_unix_ms": receipt.at_ms,
            "nodes": nodes.collect::<Vec<_>>(),
            "peers": receipt.peers.get(),
            "edge": receipt.edge.get(),
            "signature": URL_SAFE_NO_PAD.encode(signature.0),
        });
        let body = json!({ "token": self.token, "receipts": [sent] });
        self.post("receipts", &body).await
    }

    /// Accuses a peer of bytes that are wrong.
    pub async fn accuse(&self, peer: &str, epoch: u64, msn: u64, sha256: &str) -> Result<Answer> {
        let body = json!({
            "token": self.token, "peer_id": peer, "epoch": epoch, "msn": msn,
            "sha256": sha256, "reason": "digest",
        });
        self.post("reports", &body).await
    }

    pub(super) fn events(&self) -> String {
        format!(
            "{}/sessions/{}/events?token={}",
            self.base, self.id, self.token
        )
    }
}
