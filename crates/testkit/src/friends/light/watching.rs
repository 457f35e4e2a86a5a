//! Taking segments: from peers first, verified always.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use peer::{FetchError, LinkId, Peer};
use rand::seq::IteratorRandom;
use reqwest::{Url, header::RANGE};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use types::Msn;

use super::{
    Habits, Session, Shared,
    playlist::{self, Entry},
};
use crate::{friends::window::Window, http};

/// Between two looks at the playlist.
const EVERY: Duration = Duration::from_millis(400);
/// How long peers may take for a segment, all together, where enough is left to play.
const PATIENCE: Duration = Duration::from_secs(4);

/// What came from peers.
enum Taken {
    Nothing,
    /// From its beginning.
    Part(LinkId, Bytes),
    Whole(Bytes),
}

impl Taken {
    /// The longer of this and what came before a peer failed.
    fn or(self, link: LinkId, error: FetchError) -> Self {
        let had = match &self {
            Self::Nothing => 0,
            Self::Part(_, bytes) | Self::Whole(bytes) => bytes.len(),
        };
        match error {
            FetchError::Late { received } if received.len() > had => Self::Part(link, received),
            _ => self,
        }
    }
}

/// A viewer's taking of segments.
pub(super) struct Watching {
    pub(super) session: Session,
    pub(super) media: Url,
    pub(super) peer: Peer,
    pub(super) window: Arc<Window>,
    pub(super) shared: Arc<Shared>,
    pub(super) habits: Habits,
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Watching {
    pub(super) async fn run(self) {
        let mut newest = None;
        loop {
            if let Err(error) = self.round(&mut newest).await {
                self.shared.state.lock().trouble = format!("{error:#}");
            }
            sleep(EVERY).await;
        }
    }

    async fn round(&self, newest: &mut Option<Msn>) -> Result<()> {
        let mut entries = playlist::entries(&self.session.client, &self.media).await?;
        match *newest {
            Some(newest) => entries.retain(|entry| entry.msn > newest),
            None => drop(entries.drain(..entries.len().saturating_sub(self.habits.behind))),
        }
        for entry in entries {
            let bytes = match self.take_from_peers(&entry).await {
                Taken::Whole(bytes) => bytes,
                Taken::Part(link, part) => self.take_the_rest(&entry, link, part).await?,
                Taken::Nothing => self.take_from_edge(&entry).await?,
            };
            *newest = Some(entry.msn);
            {
                let mut state = self.shared.state.lock();
                state.played.insert(entry.msn, hash(&bytes));
                if state.age.is_none() {
                    let age = entry.made.map(|made| OffsetDateTime::now_utc() - made);
                    state.age = age.and_then(|age| age.try_into().ok());
                }
                state.playhead.add(entry.duration);
            }
            self.window.add(entry.msn, bytes);
            self.peer.changed(self.session.stream).await;
        }
        Ok(())
    }

    async fn take_from_edge(&self, entry: &Entry) -> Result<Bytes> {
        let answer = http::fetch(&self.session.client, entry.url.as_str()).await?;
        ensure!(
            hash(&answer.body) == entry.sha256,
            "the edge's bytes are wrong"
        );
        self.shared.state.lock().edge += answer.body.len() as u64;
        Ok(answer.body)
    }

    /// What a peer began, the edge completes, as it does for pages.
    async fn take_the_rest(&self, entry: &Entry, link: LinkId, part: Bytes) -> Result<Bytes> {
        let range = format!("bytes={}-", part.len());
        let request = self.session.client.get(entry.url.clone());
        let answer = request.header(RANGE, range).send().await?;
        ensure!(answer.status() == 206, "a range: {}", answer.status());
        let rest = answer.bytes().await?;
        let mut whole = BytesMut::with_capacity(part.len() + rest.len());
        whole.extend_from_slice(&part);
        whole.extend_from_slice(&rest);
        if hash(&whole) != entry.sha256 {
            self.reject(link, entry, &whole).await;
            return self.take_from_edge(entry).await;
        }
        self.count(&link, part.len() as u64);
        self.shared.state.lock().edge += rest.len() as u64;
        Ok(whole.freeze())
    }

    /// An open link whose peer has the segment and was not asked: any, so that no peer is asked by all.
    fn next(&self, entry: &Entry, asked: &HashSet<LinkId>) -> Option<LinkId> {
        let links = self.shared.links.lock();
        let able = links.iter().filter(|(link, peer)| {
            peer.open && peer.has.contains(&entry.msn) && !asked.contains(*link)
        });
        let chosen = able.choose(&mut rand::rng());
        chosen.map(|(link, _)| link.clone())
    }

    fn has_links(&self, asked: &HashSet<LinkId>) -> bool {
        let links = self.shared.links.lock();
        links
            .iter()
            .any(|(link, peer)| peer.open && !asked.contains(link))
    }

    async fn take_from_peers(&self, entry: &Entry) -> Taken {
        let (since, mut asked) = (Instant::now(), HashSet::new());
        let mut best = Taken::Nothing;
        let patience = self.patience();
        while since.elapsed() < patience {
            let Some(link) = self.next(entry, &asked) else {
                if !self.has_links(&asked) {
                    return best;
                }
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            asked.insert(link.clone());
            let within = self
                .habits
                .one_peer
                .min(patience.saturating_sub(since.elapsed()));
            match self.peer.fetch(link.clone(), entry.msn, within).await {
                Ok(bytes) if hash(&bytes) == entry.sha256 => {
                    self.count(&link, bytes.len() as u64);
                    return Taken::Whole(bytes);
                }
                Ok(bytes) => self.reject(link, entry, &bytes).await,
                Err(FetchError::Transfer(_)) => self.reject(link, entry, &[]).await,
                Err(error) => {
                    self.shared.state.lock().missed += 1;
                    best = best.or(link, error);
                }
            }
        }
        best
    }

    /// How long peers may take now: when little is left to play, the edge serves.
    fn patience(&self) -> Duration {
        let left = self.shared.state.lock().playhead.left();
        left.map_or(PATIENCE, |left| {
            PATIENCE.min(left.saturating_sub(self.habits.short))
        })
    }

    fn count(&self, link: &LinkId, bytes: u64) {
        let links = self.shared.links.lock();
        let Some(peer) = links.get(link).map(|link| link.peer) else {
            return;
        };
        drop(links);
        *self.shared.state.lock().by_peer.entry(peer).or_default() += bytes;
    }

    /// Wrong bytes: their sender is left, and accused.
    async fn reject(&self, link: LinkId, entry: &Entry, bytes: &[u8]) {
        self.shared.state.lock().rejected += 1;
        let left = self.shared.links.lock().remove(&link);
        self.peer.close(link).await;
        if let Some(left) = left {
            let (peer, sha256) = (left.peer.to_binary_string(), hex::encode(hash(bytes)));
            let accused = self
                .session
                .accuse(&peer, entry.epoch, entry.msn.get(), &sha256);
            let problem = match accused.await {
                Ok(answer) if answer.status == 202 => return,
                Ok(answer) => answer.text(),
                Err(error) => format!("{error:#}"),
            };
            self.shared.state.lock().trouble = format!("accuse: {problem}");
        }
    }
}
