//! What pages say of a session and hear of it: receipts, accusations, and who carries it.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use auth::PlaybackClaims;
use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use economy::{Receipt, Signature};
use futures::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use types::{ByteCount, Msn, NodeId, SessionId};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api, Problem, Shared,
    caller::From,
    extract::{Json, Query},
};
use crate::{
    Error,
    swarm::{Swarm, View, Watching},
};

/// A line that says nothing, so that proxies don't think the connection dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Receipts in one request: what was spooled while the coordinator was away.
const MAX_RECEIPTS: usize = 64;
/// Requests with receipts of one session, a minute.
const MAX_POSTS: u32 = 20;
/// Accusations of one session, a minute.
const MAX_REPORTS: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Epochs of one session whose counters are remembered: each is a page's way back after the coordinator was away.
const MAX_EPOCHS: usize = 16;
/// No session takes more: a PiB is some years of the best picture. Sums of so many stay in 64 bits.
const MOST: ByteCount = ByteCount::mib(1 << 30);
/// How long a session's counters are remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Which session.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListenQuery {
    /// The session's playback token.
    token: String,
}

/// Listen to who carries a session: `peers` at once and whenever that changes.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/events", tag = "watching",
    params(("session" = uuid::Uuid, Path), ListenQuery),
    responses((status = 200, content_type = "text/event-stream", body = View), (status = "4XX", body = Problem)))]
pub(crate) async fn listen(
    State(api): Shared,
    From(from): From,
    Path(session): Path<String>,
    Query(query): Query<ListenQuery>,
) -> Result<Response, Problem> {
    let claims = api.session_claims(&session, &query.token)?;
    let watching = api.swarm.watch(&claims, from.address);
    let watching = watching.ok_or(Error::Busy)?;
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(views(watching))
        .keep_alive(keep_alive)
        .into_response())
}

fn views(watching: Watching) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let told = stream::unfold((watching, true), async |(mut watching, first)| {
        if !first && watching.view.changed().await.is_err() {
            return None;
        }
        let view = watching.view.borrow_and_update().clone();
        let json = serde_json::to_string(&*view).unwrap_or_default();
        let event = Event::default().event("peers").data(json);
        Some((Ok(event), (watching, false)))
    });
    told.fuse()
}

/// What a page got from a node.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromNode {
    #[schema(value_type = uuid::Uuid)]
    node: NodeId,
    bytes: u64,
}

/// What a page verified since its session began.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SentReceipt {
    /// Which count of the session, from 1: a page that begins anew counts from zero in the next.
    epoch: u32,
    /// Rises with each receipt, from 1.
    counter: u64,
    /// Unix time in milliseconds, by the page's clock.
    at_unix_ms: u64,
    /// Sorted by node, each once.
    nodes: Vec<FromNode>,
    /// Bytes from other viewers.
    peers: u64,
    /// Bytes from edges.
    edge: u64,
    /// Ed25519 over `streamr/receipt/1`, a zero byte and the fields in order, big-endian; base64url.
    signature: String,
}

/// Receipts of one session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SentReceipts {
    /// The session's playback token; it may have expired since.
    token: String,
    /// The newest last.
    #[schema(min_items = 1, max_items = 64)]
    receipts: Vec<SentReceipt>,
}

/// Receipts that are kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeptReceipts {
    /// The highest counter that is kept: of the receipts of one epoch, nothing up to it need be sent again.
    kept: u64,
}

/// Say what was verified, and from whom. Kept when this is answered; sent again while it is not.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/receipts", tag = "watching",
    params(("session" = uuid::Uuid, Path)), request_body = SentReceipts,
    responses((status = 200, body = KeptReceipts), (status = "4XX", body = Problem)))]
pub(crate) async fn accept(
    State(api): Shared,
    Path(session): Path<String>,
    Json(sent): Json<SentReceipts>,
) -> Result<Answer<KeptReceipts>, Problem> {
    let claims = api.session_claims(&session, &sent.token)?;
    let refuse = |reason: &'static str| {
        metrics::counter!("streamr_receipts_refused_total", "reason" => reason).increment(1);
        tracing::debug!(reason, "a receipt was refused");
    };
    let Some(key) = claims.receipt_key else {
        refuse("no_key");
        return Err(Error::Forbidden("this session was opened without a receipt_key").into());
    };
    api.limit("receipts", claims.session, MAX_POSTS).await?;
    if !(1..=MAX_RECEIPTS).contains(&sent.receipts.len()) {
        return Err(Error::field("receipts", "send 1 to 64 receipts").into());
    }
    let mut receipts = Vec::with_capacity(sent.receipts.len());
    for (index, read) in sent.read(claims.session).enumerate() {
        let (receipt, signature) = read?;
        if let Err(error) = receipt.verify(&key.0, &signature) {
            refuse(error.label());
            let field = format!("receipts[{index}]");
            return Err(match error {
                economy::ReceiptError::Signature => {
                    Error::Forbidden("signature: the session's key did not sign this receipt")
                }
                other => Error::field(&field, &other.to_string()),
            }
            .into());
        }
        if receipt.total() > MOST {
            refuse("bytes");
            let problem =
                "more bytes than any session takes; send what was verified since it began";
            return Err(Error::field(&format!("receipts[{index}]"), problem).into());
        }
        if !Swarm::is_timely(receipt.at_ms) {
            refuse("time");
            let problem = "at_unix_ms is in the future or over; set the clock";
            return Err(Error::field(&format!("receipts[{index}]"), problem).into());
        }
        receipts.push(receipt);
    }
    let mut known = api.counters(claims.session).await;
    receipts.retain(|receipt| receipt.counter > known.of(receipt.epoch));
    let Some(newest) = receipts.iter().map(|receipt| receipt.counter).max() else {
        refuse("replay");
        return Err(Error::Conflict("these receipts are kept already; counters rise").into());
    };
    for receipt in &receipts {
        known.note(receipt.epoch, receipt.counter);
    }
    let kept = api.swarm.keep_receipts(claims.stream, receipts).await;
    if kept.is_err() {
        refuse("unavailable");
        return Err(Error::TooSlow("the database").into());
    }
    api.remember(claims.session, &known).await;
    Ok(Answer(KeptReceipts { kept: newest }))
}

impl SentReceipts {
    /// What they say, and what they are signed with; whether that is so is not known yet.
    pub(crate) fn read(
        self,
        session: SessionId,
    ) -> impl Iterator<Item = Result<(Receipt, Signature), Error>> {
        self.receipts.into_iter().map(move |sent| {
            let signature = Swarm::signature(&sent.signature)?;
            Ok((sent.into_receipt(session), signature))
        })
    }
}

impl SentReceipt {
    fn into_receipt(self, session: SessionId) -> Receipt {
        let nodes = self
            .nodes
            .into_iter()
            .map(|from| (from.node, ByteCount::new(from.bytes)));
        Receipt {
            session,
            epoch: self.epoch,
            counter: self.counter,
            at_ms: self.at_unix_ms,
            nodes: nodes.collect(),
            peers: ByteCount::new(self.peers),
            edge: ByteCount::new(self.edge),
        }
    }
}

/// A peer that did not do what it should.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accusation {
    /// The session's playback token.
    token: String,
    /// As in the tracker's messages.
    #[schema(max_length = 40)]
    peer_id: String,
    /// The origin's epoch.
    #[serde(rename = "epoch")]
    _epoch: u64,
    /// The media sequence number.
    msn: u64,
    /// SHA-256 of what came, in hexadecimal, if the bytes were wrong.
    sha256: Option<String>,
    /// `digest`, `absent` or `slow`.
    reason: String,
}

/// Accuse a peer. It proves nothing: the peer is tested, and this session is given another.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/reports", tag = "watching",
    params(("session" = uuid::Uuid, Path)), request_body = Accusation,
    responses((status = 202), (status = "4XX", body = Problem)))]
pub(crate) async fn report(
    State(api): Shared,
    Path(session): Path<String>,
    Json(sent): Json<Accusation>,
) -> Result<StatusCode, Problem> {
    let claims = api.session_claims(&session, &sent.token)?;
    api.limit("reports", claims.session, MAX_REPORTS).await?;
    let known = ["digest", "absent", "slow"];
    let Some(reason) = known.into_iter().find(|reason| *reason == sent.reason) else {
        return Err(Error::field("reason", "send digest, absent or slow").into());
    };
    let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if sent.sha256.as_ref().is_some_and(|text| !is_hash(text)) {
        return Err(Error::field("sha256", "send 64 hexadecimal digits").into());
    }
    api.swarm
        .accused(&claims, &sent.peer_id, reason, Msn::new(sent.msn));
    Ok(StatusCode::ACCEPTED)
}

impl Api {
    /// What a session's token says; it must be that session's.
    fn session_claims(&self, session: &str, token: &str) -> Result<PlaybackClaims, Error> {
        let session: SessionId = session.parse().map_err(|_| Error::NotFound("session"))?;
        let claims = self.swarm.claims(token);
        claims
            .filter(|claims| claims.session == session)
            .ok_or(Error::Unauthenticated(
                "token: send the playback token that this session was opened with",
            ))
    }

    async fn limit(&self, what: &str, session: SessionId, most: u32) -> Result<(), Error> {
        let key = format!("rate/{what}/{session}");
        let hits = self.cache.count(&key, MINUTE).await?;
        if hits.count > most {
            return Err(Error::RateLimited {
                retry_after: hits.resets_in,
            });
        }
        Ok(())
    }

    /// The highest receipts of a session that are kept.
    async fn counters(&self, session: SessionId) -> Counters {
        let kept = self.cache.get(&format!("receipt/{session}")).await;
        kept.and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default()
    }

    async fn remember(&self, session: SessionId, counters: &Counters) {
        let json = serde_json::to_vec(counters).unwrap_or_default();
        // A replay that is taken for new changes nothing: receipts are cumulative.
        let _ = self
            .cache
            .put(&format!("receipt/{session}"), json, REMEMBERED)
            .await;
    }
}

/// The highest counter of each of a session's epochs. The lowest epochs are forgotten first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counters(BTreeMap<u32, u64>);

impl Counters {
    fn of(&self, epoch: u32) -> u64 {
        self.0.get(&epoch).copied().unwrap_or(0)
    }

    fn note(&mut self, epoch: u32, counter: u64) {
        let known = self.0.entry(epoch).or_default();
        *known = (*known).max(counter);
        while self.0.len() > MAX_EPOCHS {
            self.0.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_counts_by_itself_and_few_are_remembered() {
        let mut counters = Counters::default();
        counters.note(1, 5);
        counters.note(2, 1);
        counters.note(1, 3);
        assert_eq!((counters.of(1), counters.of(2), counters.of(3)), (5, 1, 0));
        for epoch in 3..100 {
            counters.note(epoch, 1);
        }
        assert_eq!((counters.0.len(), counters.of(1)), (MAX_EPOCHS, 0));
    }
}
