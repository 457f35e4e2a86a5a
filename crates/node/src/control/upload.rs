//! Measuring how much can be uploaded: the coordinator counts what arrives.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::node::{MeasureUploadAsked, MeasureUploadRequest};

use types::Bitrate;

use crate::{net::Client, node::Node};

/// As long as a message may be.
const PIECE: usize = 64 * 1024;
/// However much is asked for: a coordinator that asks too much doesn't use up a friend's month.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
const MAX_TIME: Duration = Duration::from_secs(10);

/// Uploads as the coordinator asked, and no more; the node keeps to what came of it.
pub(super) async fn measure(
    mut client: Client,
    asked: MeasureUploadAsked,
    node: Arc<Node>,
    server: u16,
) {
    let within = Duration::from_millis(asked.for_ms.into()).min(MAX_TIME);
    let until = Instant::now() + within;
    let pieces = asked.bytes.min(MAX_BYTES).div_ceil(PIECE as u64);
    let ticket = asked.ticket;
    let padding = bytes::Bytes::from(vec![0; PIECE]);
    let requests = (0..pieces)
        .take_while(move |_| Instant::now() < until)
        .map(move |_| MeasureUploadRequest {
            ticket: ticket.clone(),
            padding: padding.clone(),
        });
    let measuring = client.measure_upload(futures::stream::iter(requests));
    match tokio::time::timeout(within + MAX_TIME, measuring).await {
        Ok(Ok(measured)) => {
            let bps = measured.into_inner().bitrate_bps;
            tracing::info!(mbit_per_second = bps / 1_000_000, "upload measured");
            node.measured(server, Bitrate::new(bps)).await;
        }
        Ok(Err(status)) => tracing::info!(%status, "upload not measured"),
        Err(_) => tracing::info!("upload not measured in time"),
    }
}
