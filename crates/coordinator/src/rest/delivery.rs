//! How a stream reaches its viewers: what friends carry of it, and what that saves.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::HeaderMap,
};
use serde::Serialize;
use time::OffsetDateTime;
use types::NodeId;
use utoipa::ToSchema;

use super::{Problem, Shared, caller::Caller, streams::share_of};

/// The graph's length.
const SAMPLED_MS: i64 = 600_000;
/// Between two samples.
const SAMPLE_MS: i64 = 60_000;
/// A gigabyte as it is paid for.
const GIGABYTE: u128 = 1_000_000_000;

/// Bytes, or bits per second, by where they come from.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Sources {
    /// From friends' nodes.
    friends: u64,
    /// From other viewers.
    peers: u64,
    /// From edges.
    edge: u64,
}

/// Viewers, by who serves them.
#[derive(Debug, Serialize, ToSchema)]
struct Watching {
    /// Carried by friends.
    friends: u32,
    total: u32,
}

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
struct Amount {
    /// ISO 4217.
    currency: String,
    /// Millionths.
    micros: u64,
}

/// What carrying saved.
#[derive(Debug, Serialize, ToSchema)]
struct Saved {
    /// Of viewers' bytes, the part that no edge sent, less what edges sent to nodes; 0 to 1.
    share: f64,
    money: Amount,
}

/// A friend's part.
#[derive(Debug, Serialize, ToSchema)]
struct NodeView {
    #[schema(value_type = uuid::Uuid)]
    node: NodeId,
    name: String,
    /// Viewers carried now.
    viewers: u32,
    /// Verified since `since`.
    bytes: u64,
    /// Uploaded now, bits per second.
    bitrate_bps: u64,
}

/// A minute of the graph.
#[derive(Debug, Serialize, ToSchema)]
struct Sample {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    friends_bps: u64,
    peers_bps: u64,
    edge_bps: u64,
}

/// How a stream is delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    #[serde(with = "time::serde::rfc3339")]
    as_of: OffsetDateTime,
    /// When the broadcast began.
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    /// Since then. What friends carried is what viewers verified; what edges sent, what edges count.
    bytes: Sources,
    /// What edges sent to friends' nodes, which carry it on.
    node_bytes: u64,
    /// In the last whole minute, bits per second.
    rates_bps: Sources,
    viewers: Watching,
    saved: Saved,
    /// Who carries, the most first.
    nodes: Vec<NodeView>,
    /// The last ten minutes that are over, oldest first.
    samples: Vec<Sample>,
}

fn at(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn ms(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1_000_000) as i64
}

/// Bits per second of bytes in a minute.
fn rate(bytes: types::ByteCount) -> u64 {
    bytes.get().saturating_mul(8) / 60
}

/// How a stream reaches its viewers, since the broadcast began.
#[utoipa::path(get, path = "/api/v1/streams/{stream}/delivery", tag = "friends", security((), ("bearer" = [])),
    params(("stream" = String, Path, description = "Id or name"),
        ("Share-Secret" = Option<String>, Header, description = "The secret of a share link")),
    responses((status = 200, body = DeliveryView), (status = "4XX", body = Problem)))]
pub(crate) async fn read(
    State(api): Shared,
    Caller(caller): Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Answer<DeliveryView>, Problem> {
    let (stream, _) = api
        .find(&name, caller.as_deref(), share_of(&headers))
        .await?;
    let now = OffsetDateTime::now_utc();
    let since = stream.started_at.unwrap_or(stream.created_at);
    // Minutes are counted whole: the one in which the broadcast began, too.
    let first = ms(since).div_euclid(SAMPLE_MS) * SAMPLE_MS;
    let carrying = api.database.carrying();
    let delivered = carrying.delivered(stream.id, first).await?;
    let minutes = carrying
        .minutes(stream.id, first.max(ms(now) - SAMPLED_MS))
        .await?;
    let this_minute = ms(now).div_euclid(SAMPLE_MS) * SAMPLE_MS;
    // The minute that runs is not whole yet.
    let whole = || {
        minutes
            .iter()
            .filter(|minute| minute.began_ms < this_minute)
    };
    let rates_bps = whole()
        .next_back()
        .map_or_else(Sources::default, |minute| Sources {
            friends: rate(minute.friends),
            peers: rate(minute.peers),
            edge: rate(minute.edge),
        });
    let samples = whole().map(|minute| Sample {
        at: at(minute.began_ms),
        friends_bps: rate(minute.friends),
        peers_bps: rate(minute.peers),
        edge_bps: rate(minute.edge),
    });
    let mut names = api.swarm.carrying(stream.id);
    let known = api.database.friends().of_stream(stream.id).await?;
    names.extend(
        known
            .into_iter()
            .map(|(friend, node)| (node.id, friend.name)),
    );
    let name_of = |node: NodeId| {
        let found = names.iter().find(|(id, _)| *id == node);
        found.map_or_else(|| "a friend of before".to_owned(), |(_, name)| name.clone())
    };
    let mut nodes: Vec<NodeView> = delivered
        .by
        .iter()
        .map(|by| (by.node, by.bytes.get()))
        .chain(
            api.swarm
                .carrying(stream.id)
                .into_iter()
                .map(|(node, _)| (node, 0)),
        )
        .map(|(node, bytes)| {
            let seen = api.swarm.seen(node, stream.id);
            NodeView {
                node,
                name: name_of(node),
                viewers: seen.as_ref().map_or(0, |seen| seen.viewers),
                bytes,
                bitrate_bps: seen.map_or(0, |seen| seen.bitrate.get()),
            }
        })
        .collect();
    let mut shown = std::collections::HashSet::new();
    nodes.retain(|node| shown.insert(node.node));
    Ok(Answer(DeliveryView {
        as_of: now,
        since,
        saved: saved(&delivered, &api.settings.savings),
        bytes: Sources {
            friends: delivered.friends.get(),
            peers: delivered.peers.get(),
            edge: delivered.edge.get(),
        },
        node_bytes: delivered.nodes.get(),
        rates_bps,
        viewers: Watching {
            friends: api.swarm.carried(stream.id),
            total: api.registry.viewers(stream.id),
        },
        nodes,
        samples: samples.collect(),
    }))
}

/// What edges did not have to send: viewers' bytes from others, less the copies that nodes pulled.
fn saved(delivered: &storage::Delivered, price: &runtime::config::Savings) -> Saved {
    let carried = delivered
        .friends
        .get()
        .saturating_add(delivered.peers.get());
    let spared = carried.saturating_sub(delivered.nodes.get());
    let all = carried.saturating_add(delivered.edge.get());
    let micros = u128::from(spared) * u128::from(price.micros_per_gigabyte) / GIGABYTE;
    Saved {
        share: if all == 0 {
            0.0
        } else {
            spared as f64 / all as f64
        },
        money: Amount {
            currency: price.currency.clone(),
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
        },
    }
}

#[cfg(test)]
mod tests {
    use types::ByteCount;

    use super::*;

    #[test]
    fn what_nodes_pulled_is_not_saved() {
        let mut delivered = storage::Delivered {
            friends: ByteCount::new(80_000_000_000),
            peers: ByteCount::new(10_000_000_000),
            edge: ByteCount::new(10_000_000_000),
            nodes: ByteCount::new(20_000_000_000),
            by: Vec::new(),
        };
        let price = runtime::config::Savings::default();
        let some = saved(&delivered, &price);
        assert!((some.share - 0.7).abs() < 1e-9, "{}", some.share);
        assert_eq!(some.money.micros, 700_000);
        delivered.nodes = ByteCount::new(200_000_000_000);
        let none = saved(&delivered, &price);
        assert!(none.share.abs() < 1e-9 && none.money.micros == 0);
        assert!(saved(&storage::Delivered::default(), &price).share.abs() < 1e-9);
    }
}
