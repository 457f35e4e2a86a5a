//! What a coordinator tells the node, and what the node says of itself.

use std::time::Duration;

use peer::LinkId;
use proto::node::{
    Call, CallAnswer, Description, Drop, Heartbeat, Offer, Pong, ReportsKept, Revoked, StreamLoad,
    connect_request::Message as Up, connect_response::Message as Down,
};
use tokio::time::timeout;
use types::StreamId;

use super::{Control, MAX_CALLS, Over, Session, upload};
use crate::{limits::Standing, verify::OriginKeys};

/// For a description to be made.
const DESCRIBE: Duration = Duration::from_secs(5);

impl Control {
    pub(super) async fn told(&mut self, session: &Session, message: Down) -> Result<(), Over> {
        match message {
            Down::Work(work) => self.work(work.streams).await,
            Down::OriginKeys(keys) => {
                self.keys.send_replace(OriginKeys::new(&keys.keys));
            }
            Down::Offer(offer) => {
                let description = self.offered(offer).await;
                session.say(Up::Description(description)).await?;
            }
            Down::Call(call) => {
                let description = self.called(call).await;
                session.say(Up::Description(description)).await?;
            }
            Down::CallAnswer(answer) => self.call_answered(answer).await,
            Down::Drop(Drop { link }) => {
                if let Some(link) = self.server.link(&link) {
                    self.node.peer.close(link).await;
                }
            }
            Down::Revoked(revoked) => self.revoked(revoked).await,
            Down::Notice(notice) => self.node.heard(&notice.from, &notice.text),
            Down::ReportsKept(ReportsKept { run_id, sequence }) => {
                if let Ok(run) = run_id.parse() {
                    self.server.reporter.lock().kept(run, sequence);
                }
                self.say_waiting(session).await?;
            }
            Down::Ping(ping) => session.say(Up::Pong(Pong { nonce: ping.nonce })).await?,
            Down::MeasureUpload(asked) => {
                let (client, node) = (session.client.clone(), self.node.clone());
                let measuring = upload::measure(client, asked, node, self.server.index);
                self.shutdown.spawn_until_cancelled(measuring);
            }
            // Only while connecting.
            Down::Challenge(_) | Down::Welcome(_) => return Err(Over::Protocol),
        }
        Ok(())
    }

    /// Whether one more viewer of a stream is served.
    async fn is_welcome(&self, stream: StreamId) -> bool {
        if self.node.standing() != Standing::Helping || !self.pulls.contains_key(&stream) {
            return false;
        }
        let most = self.node.limits.lock().viewers;
        match most {
            // Those that are connecting count too.
            Some(most) => self.node.peer.links().await.len() < most as usize,
            None => true,
        }
    }

    /// The link's name, if its viewer is to be served.
    async fn admitted(&self, stream: StreamId, link: &[u8]) -> Option<LinkId> {
        let link = self.server.link(link)?;
        self.is_welcome(stream).await.then_some(link)
    }

    async fn offered(&self, offer: Offer) -> Description {
        let mut sdp = String::new();
        if let Ok(stream) = offer.stream_id.parse()
            && let Some(link) = self.admitted(stream, &offer.link).await
        {
            let answer = self.node.peer.answer(link, stream, offer.sdp);
            sdp = described(timeout(DESCRIBE, answer).await);
        }
        Description {
            r#ref: offer.r#ref,
            sdp,
        }
    }

    async fn called(&mut self, call: Call) -> Description {
        let mut sdp = String::new();
        if let Ok(stream) = call.stream_id.parse()
            && let Some(link) = self.admitted(stream, &call.link).await
        {
            let offer = self.node.peer.offer(link.clone(), stream);
            sdp = described(timeout(DESCRIBE, offer).await);
            if self.calls.len() >= MAX_CALLS {
                // Links of calls that nobody answered are gone by themselves.
                self.calls.clear();
            }
            self.calls.insert(call.r#ref, link);
        }
        Description {
            r#ref: call.r#ref,
            sdp,
        }
    }

    async fn call_answered(&mut self, answer: CallAnswer) {
        let Some(link) = self.calls.remove(&answer.r#ref) else {
            return;
        };
        if let Err(error) = self.node.peer.accept(link, answer.sdp).await {
            tracing::info!(%error, "viewer's answer is refused");
        }
    }

    async fn revoked(&mut self, revoked: Revoked) {
        let stream = revoked.stream_id.parse::<StreamId>().ok();
        if stream.is_none() && !revoked.stream_id.is_empty() {
            return;
        }
        // Told again on every connection.
        if stream.is_some_and(|stream| !self.node.is_invited(&self.server.origin, stream)) {
            return;
        }
        let streams: Vec<StreamId> = match stream {
            Some(stream) => vec![stream],
            None => self.pulls.keys().copied().collect(),
        };
        for stream in streams {
            self.let_go(stream).await;
        }
        self.node.uninvited(&self.server.origin, stream);
        tracing::warn!(origin = %self.server.origin, reason = revoked.reason, "help is not wanted any more");
        let text = format!("You no longer help here: {}", revoked.reason);
        self.node.heard(self.server.origin.as_str(), &text);
    }

    pub(super) async fn heartbeat(&self) -> Heartbeat {
        let outer = self.node.peer.outer().await;
        let limits = self.node.limits.lock().clone();
        let loads = self.node.loads.lock();
        let pulls = self.server.pulls.lock();
        let streams = pulls.iter().map(|(stream, pull)| {
            let load = loads.get(stream);
            StreamLoad {
                stream_id: stream.to_string(),
                viewers: load.map_or(0, |load| load.viewers),
                bitrate_bps: load.map_or(0, |load| load.bitrate().get()),
                newest_msn: self.node.window.newest(*stream).map_or(0, types::Msn::get),
                bad_segments: pull.bad.load(std::sync::atomic::Ordering::Relaxed),
            }
        });
        let streams = streams.collect();
        drop(pulls);
        Heartbeat {
            accepting: self.node.standing() == Standing::Helping,
            max_bitrate_bps: limits.bitrate.map_or(0, types::Bitrate::get),
            max_viewers: limits.viewers.unwrap_or_default(),
            only_stream_ids: self.only(&limits.only),
            streams,
            uploaded_bytes: self
                .node
                .uploaded
                .load(std::sync::atomic::Ordering::Relaxed),
            downloaded_bytes: self.server.downloaded(),
            outer_address: outer.address.map_or_else(String::new, |a| a.to_string()),
        }
    }
}

fn described<E>(made: Result<Result<String, peer::Refused>, E>) -> String {
    match made {
        Ok(Ok(sdp)) => sdp,
        Ok(Err(error)) => {
            tracing::info!(%error, "viewer is not served");
            String::new()
        }
        Err(_) => String::new(),
    }
}
