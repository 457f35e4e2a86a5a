//! The handle of a peer: what its user asks of the task that owns sockets and links.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use runtime::Shutdown;
use tokio::sync::{mpsc, oneshot};
use types::{Bitrate, Msn, StreamId};

use crate::{
    engine::Engine,
    error::{BindError, FetchError, Refused},
    socket::Socket,
    source::Source,
    words::{Delivered, Event, LinkId, LinkState, Options, Outer},
};

/// Questions that wait; who asks more, waits.
const MAX_ASKED: usize = 256;
/// Events that wait for who reads them, before the engine keeps them itself.
const MAX_EVENTS: usize = 256;

/// What happens to links.
pub type Events = mpsc::Receiver<Event>;

/// A peer. Cheap to clone. The task behind it ends when the [`Shutdown`] says so.
///
/// Two peers have one link with each other at a time: datagrams of two can't be told apart by their addresses.
#[derive(Debug, Clone)]
pub struct Peer {
    asked: mpsc::Sender<Ask>,
    addresses: Arc<[SocketAddr]>,
}

type Reply<T> = oneshot::Sender<T>;

/// A question to the engine.
#[derive(Debug)]
pub(crate) enum Ask {
    Answer {
        link: LinkId,
        stream: StreamId,
        sdp: String,
        reply: Reply<Result<String, Refused>>,
    },
    Offer {
        link: LinkId,
        stream: StreamId,
        reply: Reply<Result<String, Refused>>,
    },
    Accept {
        link: LinkId,
        sdp: String,
        reply: Reply<Result<(), Refused>>,
    },
    Close(LinkId),
    CloseStream(StreamId),
    Fetch {
        link: LinkId,
        msn: Msn,
        within: Duration,
        reply: Reply<Result<Bytes, FetchError>>,
    },
    Changed(StreamId),
    Limit(Option<Bitrate>, Reply<()>),
    Stun(Vec<SocketAddr>),
    Outer(Reply<Outer>),
    Deliveries(Reply<Vec<Delivered>>),
    Links(Reply<Vec<LinkState>>),
    Drain(Reply<()>),
}

impl Peer {
    /// Binds the sockets and starts the task, which `shutdown` owns.
    pub fn bind(
        options: Options,
        source: Arc<dyn Source>,
        shutdown: &Shutdown,
    ) -> Result<(Self, Events), BindError> {
        let sockets = Socket::bind_all(options.listen).map_err(|source| BindError {
            address: options.listen,
            source,
        })?;
        let addresses = sockets.iter().map(Socket::address).collect();
        let (asked, asks) = mpsc::channel(MAX_ASKED);
        let (events, heard) = mpsc::channel(MAX_EVENTS);
        let engine = Engine::new(options, source, sockets, events);
        let until = shutdown.clone();
        shutdown.spawn(async move { engine.run(asks, until).await });
        Ok((Self { asked, addresses }, heard))
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers an offer.
    pub async fn answer(
        &self,
        link: LinkId,
        stream: StreamId,
        sdp: String,
    ) -> Result<String, Refused> {
        let ask = |reply| Ask::Answer {
            link,
            stream,
            sdp,
            reply,
        };
        self.ask(ask).await.unwrap_or(Err(Refused::Stopping))
    }

    /// Makes an offer, which [`Self::accept`] completes.
    pub async fn offer(&self, link: LinkId, stream: StreamId) -> Result<String, Refused> {
        let ask = |reply| Ask::Offer {
            link,
            stream,
            reply,
        };
        self.ask(ask).await.unwrap_or(Err(Refused::Stopping))
    }

    /// Takes the answer to an offer.
    pub async fn accept(&self, link: LinkId, sdp: String) -> Result<(), Refused> {
        let ask = |reply| Ask::Accept { link, sdp, reply };
        self.ask(ask).await.unwrap_or(Err(Refused::Stopping))
    }

    /// Lets go of a link at once.
    pub async fn close(&self, link: LinkId) {
        self.tell(Ask::Close(link)).await;
    }

    /// Lets go of all links of a stream at once.
    pub async fn close_stream(&self, stream: StreamId) {
        self.tell(Ask::CloseStream(stream)).await;
    }

    /// Fetches a segment from the other end of a link.
    pub async fn fetch(
        &self,
        link: LinkId,
        msn: Msn,
        within: Duration,
    ) -> Result<Bytes, FetchError> {
        let ask = |reply| Ask::Fetch {
            link,
            msn,
            within,
            reply,
        };
        self.ask(ask).await.unwrap_or(Err(FetchError::Closed))
    }

    /// What the source has of this stream changed: its links are told.
    pub async fn changed(&self, stream: StreamId) {
        self.tell(Ask::Changed(stream)).await;
    }

    /// Limits what is uploaded over all links; `None`: no limit. It holds when this returns: what is asked for
    /// afterwards doesn't slip past.
    pub async fn limit(&self, rate: Option<Bitrate>) {
        let _ = self.ask(|held| Ask::Limit(rate, held)).await;
    }

    /// Asks these servers for the outer address from now on, one per address family.
    pub async fn stun(&self, servers: Vec<SocketAddr>) {
        self.tell(Ask::Stun(servers)).await;
    }

    /// The outer address, as far as it is known.
    pub async fn outer(&self) -> Outer {
        self.ask(Ask::Outer).await.unwrap_or_default()
    }

    /// What was delivered since the last call, per link: what this answers, it never answers again.
    pub async fn deliveries(&self) -> Vec<Delivered> {
        self.ask(Ask::Deliveries).await.unwrap_or_default()
    }

    /// The links there are.
    pub async fn links(&self) -> Vec<LinkState> {
        self.ask(Ask::Links).await.unwrap_or_default()
    }

    /// Takes no more links and requests; ends when what is being served is served.
    pub async fn drain(&self) {
        self.ask(Ask::Drain).await;
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(ask(reply)).await;
        answer.await.ok()
    }

    async fn tell(&self, ask: Ask) {
        // An engine that is gone needs nothing; who waits for an answer notices.
        let _ = self.asked.send(ask).await;
    }
}
