//! What nodes say they delivered and viewers say they verified: checked for who said it, and gathered. What of it
//! counts is decided from all facts together, by `stats-collector`.

use std::time::Duration;

use economy::{Receipt, Signature};
use events::{AcceptedReceipt, ReportedDelivery};
use prost::Message as _;
use proto::node::{DeliveryReport, ReportsKept, SignedReport, connect_response::Message as Down};
use tokio::time::{Instant, timeout};
use tonic::Status;
use types::{ByteCount, NodeId, RunId, StreamId};

use super::{
    Swarm,
    connect::{signed, verifies},
    link::Link,
    state::now_ms,
};
use crate::Error;

/// How far ahead of ours a node's clock may be.
const AHEAD_MS: i64 = 30_000;
/// Facts older than this can't count any more (late facts, design §6).
const LATE_MS: i64 = 30 * 24 * 3600 * 1000;
/// The longest span of one report.
const SPAN_MS: i64 = 60_000;
/// How long it may take to keep what was said.
const KEEPING: Duration = Duration::from_secs(5);
/// No link carries more in one report's time: 10 Gbit/s. Sums of so many stay in 64 bits.
const MAX_DELIVERED: ByteCount = ByteCount::mib(75_000);
/// Deliveries of one report.
const MAX_DELIVERIES: usize = 5000;

/// Why a receipt is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// The database is away: to be sent again.
    Later,
}

impl Swarm {
    /// Takes a node's report, and tells it when that is kept.
    pub(super) async fn report(
        &self,
        node: NodeId,
        run: RunId,
        key: &[u8; 32],
        signed_report: &SignedReport,
    ) -> Result<(), Status> {
        let refuse = |reason: &'static str| {
            metrics::counter!("streamr_reports_refused_total", "reason" => reason).increment(1);
            tracing::debug!(node_id = %node, reason, "a node's report was refused");
            Status::invalid_argument(format!("report: {reason}"))
        };
        if let Some(seat) = self.inner.state.lock().seats.get_mut(&node) {
            seat.heard = Instant::now();
        }
        let message = signed("streamr/deliveries/1", &[&signed_report.body]);
        if !verifies(key, &message, &signed_report.signature) {
            return Err(refuse("signature"));
        }
        let report =
            DeliveryReport::decode(signed_report.body.clone()).map_err(|_| refuse("malformed"))?;
        if report.node_id != node.to_string() {
            return Err(refuse("another's"));
        }
        if report.deliveries.len() > MAX_DELIVERIES {
            return Err(refuse("too_many"));
        }
        let of: RunId = report.run_id.parse().map_err(|_| refuse("run"))?;
        let now = now_ms();
        let (from_ms, to_ms) = (report.from_unix_ms, report.to_unix_ms);
        let span = to_ms.saturating_sub(from_ms);
        let refused = if to_ms > now + AHEAD_MS {
            "future"
        } else if to_ms < now - LATE_MS {
            "late"
        } else if !(0..=SPAN_MS).contains(&span) {
            "span"
        } else {
            ""
        };
        if !refused.is_empty() {
            metrics::counter!("streamr_reports_refused_total", "reason" => refused).increment(1);
        }
        let mut deliveries = Vec::with_capacity(report.deliveries.len());
        for delivery in &report.deliveries {
            let Some(link) = Link::open(&self.inner.keys, &delivery.link, node) else {
                // A link of nobody's, or of another node: nothing that it could count for.
                metrics::counter!("streamr_reports_refused_total", "reason" => "link").increment(1);
                continue;
            };
            deliveries.push(ReportedDelivery {
                session: link.session,
                node,
                stream: link.stream,
                run: of,
                sequence: report.sequence,
                from_ms,
                to_ms,
                bytes: ByteCount::new(delivery.bytes).min(MAX_DELIVERED),
                refused: if delivery.bytes > MAX_DELIVERED.get() && refused.is_empty() {
                    "bytes".to_owned()
                } else {
                    refused.to_owned()
                },
            });
        }
        let kept = deliveries.is_empty()
            || matches!(
                timeout(KEEPING, self.inner.gather.deliveries(deliveries)).await,
                Ok(Ok(true))
            );
        if kept {
            let mut state = self.inner.state.lock();
            if let Some(seat) = state.seats.get_mut(&node).filter(|seat| seat.run == run) {
                seat.tell(Down::ReportsKept(ReportsKept {
                    run_id: of.to_string(),
                    sequence: report.sequence,
                }));
            }
        }
        Ok(())
    }

    /// Takes receipts whose signatures were verified; resolves once they are kept.
    pub(crate) async fn keep_receipts(
        &self,
        stream: StreamId,
        receipts: Vec<Receipt>,
    ) -> Result<(), Unkept> {
        let accepted = receipts.into_iter().map(|receipt| AcceptedReceipt {
            session: receipt.session,
            stream,
            epoch: receipt.epoch,
            counter: receipt.counter,
            at_ms: i64::try_from(receipt.at_ms).unwrap_or(i64::MAX),
            nodes: receipt.nodes,
            peers: receipt.peers,
            edge: receipt.edge,
        });
        let kept = self.inner.gather.receipts(accepted.collect());
        match timeout(KEEPING, kept).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(Unkept::Later),
        }
    }

    /// Checks a receipt's time: a page's clock may be somewhat ahead, and a spooled one is some hours old.
    pub(crate) fn is_timely(at_ms: u64) -> bool {
        let at = i64::try_from(at_ms).unwrap_or(i64::MAX);
        let now = now_ms();
        at <= now + AHEAD_MS && at >= now - LATE_MS
    }

    /// The signature of a receipt, from base64url.
    pub(crate) fn signature(text: &str) -> Result<Signature, Error> {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Signature).ok_or_else(|| {
            Error::field(
                "signature",
                "send 64 bytes of Ed25519 as base64url without padding",
            )
        })
    }
}
