//! Viewers that do what players do when a server dies: they come again. Each notes when the stream went on,
//! so that a test can say how long it stood still.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, StatusCode, Url};
use rtmp::session::ClientEvent;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{FlvViewer, RtmpPlayer, hls::MediaPlaylist, http};

/// Before a player tries again.
const AGAIN: Duration = Duration::from_millis(100);
/// What a player waits for without a sign of life before it tries elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Notes {
    /// When something new was there to play.
    went_on: Vec<Instant>,
    /// How often it had to come again.
    returns: usize,
    /// Why it last had to.
    last_error: String,
    /// What should never happen.
    faults: Vec<String>,
}

/// A viewer in the background. It leaves when dropped.
#[derive(Debug)]
pub struct Witness {
    name: &'static str,
    notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone, Default)]
struct Pad(Arc<Mutex<Notes>>);

impl Pad {
    fn write<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn went_on(&self) {
        self.write(|notes| notes.went_on.push(Instant::now()));
    }

    fn returned(&self, error: &anyhow::Error) {
        self.write(|notes| {
            notes.returns += 1;
            notes.last_error = format!("{error:#}");
        });
    }

    fn fault(&self, what: String) {
        self.write(|notes| notes.faults.push(what));
    }
}

impl Witness {
    fn start<F: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        watch: impl FnOnce(Pad) -> F,
    ) -> Self {
        let pad = Pad::default();
        Self {
            name,
            notes: Arc::clone(&pad.0),
            task: tokio::spawn(watch(pad)),
        }
    }

    /// Plays low-latency HLS at a multivariant's URL, as hls.js would: part by part, from the next server
    /// that is named when one fails.
    pub fn hls(url: &str) -> Self {
        let url = url.to_owned();
        Self::start("HLS", |pad| async move {
            let mut player = HlsPlayer {
                pad,
                url,
                servers: Vec::new(),
                at: 0,
                seen: None,
                epoch: 0,
            };
            loop {
                if let Err(error) = player.play().await {
                    player.at += 1;
                    player.pad.returned(&error);
                    sleep(AGAIN).await;
                }
            }
        })
    }

    /// Plays HTTP-FLV.
    pub fn flv(address: SocketAddr, path: &str) -> Self {
        let path = path.to_owned();
        Self::start("HTTP-FLV", |pad| async move {
            loop {
                if let Err(error) = flv(&pad, address, &path).await {
                    pad.returned(&error);
                }
                sleep(AGAIN).await;
            }
        })
    }

    /// Plays by RTMP.
    pub fn rtmp(address: SocketAddr, slug: &str) -> Self {
        let slug = slug.to_owned();
        Self::start("RTMP", |pad| async move {
            loop {
                if let Err(error) = rtmp(&pad, address, &slug).await {
                    pad.returned(&error);
                }
                sleep(AGAIN).await;
            }
        })
    }

    /// What it is.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn notes<T>(&self, look: impl FnOnce(&Notes) -> T) -> T {
        look(&self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The longest time without anything new to play between `since` and now.
    pub fn stood_still(&self, since: Instant) -> Duration {
        let now = Instant::now();
        self.notes(|notes| {
            let before = notes.went_on.iter().rfind(|at| **at <= since);
            let mut last = before.copied().unwrap_or(since);
            let mut longest = Duration::ZERO;
            let later = notes.went_on.iter().copied().filter(|at| *at > since);
            for at in later.chain([now]) {
                longest = longest.max(at.saturating_duration_since(last));
                last = at;
            }
            longest
        })
    }

    /// How often it had to come again, and why the last time.
    pub fn returns(&self) -> (usize, String) {
        self.notes(|notes| (notes.returns, notes.last_error.clone()))
    }

    /// Fails if something happened that never should.
    pub fn is_content(&self) -> Result<()> {
        let faults = self.notes(|notes| notes.faults.clone());
        ensure!(faults.is_empty(), "{}: {faults:?}", self.name);
        Ok(())
    }

    /// Waits until the stream goes on.
    pub async fn goes_on(&self, limit: Duration) -> Result<()> {
        let before = self.notes(|notes| notes.went_on.len());
        crate::eventually(
            limit,
            &format!("the stream goes on by {}", self.name),
            || async {
                let now = self.notes(|notes| notes.went_on.len());
                Ok((now > before + 1).then_some(()))
            },
        )
        .await
    }
}

struct HlsPlayer {
    pad: Pad,
    url: String,
    servers: Vec<Url>,
    at: usize,
    /// The newest media sequence number and part.
    seen: Option<(u64, usize)>,
    epoch: u64,
}

impl HlsPlayer {
    async fn play(&mut self) -> Result<()> {
        let client = http::client()?;
        // When every server failed, the first playlist may name others.
        if self.at >= self.servers.len() {
            self.open(&client).await?;
        }
        let server = self
            .servers
            .get(self.at)
            .context("no server is named")?
            .clone();
        loop {
            let mut url = server.clone();
            if let Some((msn, part)) = self.seen {
                url.set_query(Some(&format!("_HLS_msn={msn}&_HLS_part={}", part + 1)));
            }
            let asked = timeout(PATIENCE * 4, http::get(&client, url.as_str()));
            let answer = asked.await.context("the playlist hangs")??;
            match answer.status {
                StatusCode::OK => self.take(&answer.text())?,
                // The publisher is away, or a takeover is under way.
                StatusCode::SERVICE_UNAVAILABLE => sleep(AGAIN).await,
                // This server has not caught up, or begins anew: without a wish it says what it has.
                StatusCode::BAD_REQUEST => {
                    let plain = http::get(&client, server.as_str()).await?;
                    ensure!(plain.status == StatusCode::OK, "{}", plain.status);
                    self.take(&plain.text())?;
                    sleep(AGAIN).await;
                }
                status => bail!("{status} {}", answer.text()),
            }
        }
    }

    async fn open(&mut self, client: &Client) -> Result<()> {
        let answer = timeout(PATIENCE * 4, http::get(client, &self.url)).await??;
        ensure!(answer.status == StatusCode::OK, "{}", answer.status);
        let base = Url::parse(&self.url)?;
        let text = answer.text();
        let uris = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let servers: Result<Vec<Url>, _> = uris.map(|uri| base.join(uri)).collect();
        (self.servers, self.at) = (servers?, 0);
        Ok(())
    }

    fn take(&mut self, text: &str) -> Result<()> {
        let playlist = MediaPlaylist::parse(text)?;
        let epoch = playlist
            .segments
            .iter()
            .filter_map(crate::hls::Segment::epoch)
            .max();
        let Some(newest) = playlist.last_part() else {
            return Ok(());
        };
        let epoch = epoch.unwrap_or(self.epoch);
        if epoch < self.epoch {
            // An edge that lags behind is no news; a number under a new epoch is what must not go back.
            return Ok(());
        }
        if self
            .seen
            .is_some_and(|seen| epoch > self.epoch && newest.0 < seen.0)
        {
            let seen = self.seen;
            self.pad.fault(format!(
                "numbers went back from {seen:?} to {newest:?} in epoch {epoch}"
            ));
        }
        self.epoch = epoch;
        if self.seen.is_none_or(|seen| newest > seen) {
            self.seen = Some(newest);
            self.pad.went_on();
        }
        Ok(())
    }
}

async fn flv(pad: &Pad, address: SocketAddr, path: &str) -> Result<()> {
    let opened = timeout(PATIENCE * 2, FlvViewer::open(address, path)).await?;
    let mut viewer = opened?;
    loop {
        viewer.more_frames(PATIENCE * 2, 1).await?;
        pad.went_on();
    }
}

async fn rtmp(pad: &Pad, address: SocketAddr, slug: &str) -> Result<()> {
    let mut player = timeout(PATIENCE * 2, RtmpPlayer::play(address, slug)).await??;
    // A pause of the publisher is no reason to leave.
    while let Some(event) = player.next(PATIENCE * 10).await? {
        match event {
            ClientEvent::Packet(_) => pad.went_on(),
            ClientEvent::Rejected { code, .. } => bail!(code),
            _ => {}
        }
    }
    bail!("hung up")
}
