//! Friends carry the stream: a node, real pages, and numbers that agree.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{
    Account, Fixture, Publication, Sandbox, Source, Turn, eventually,
    friends::{Carried, FriendNode, Light, PageCounts, Watchers, delivery, friends, invite},
};

use crate::support::{PLAYABLE, SOON, live, say, scenario, scenario_of_the_dead, shared};

/// What counts is reconciled some seconds after it was told; machines are slow.
const COUNTED: Duration = Duration::from_secs(120);
/// A page's last message may be gone before the node hears that it came: then it counts for nobody.
const UNACKNOWLEDGED: u64 = 32 * 1024;
/// By then a page has found its friend, and got bytes from it, also on a machine that does much else.
const FOUND: Duration = Duration::from_secs(120);

/// Until a stream is old enough for a page that begins four segments behind.
const STOCK_BEGINS: Duration = Duration::from_secs(14);

/// A stream that can be played.
async fn under_way(sandbox: &Sandbox, slug: &str) -> Result<Publication> {
    let (_, publication) = live(sandbox, slug, &Fixture::plain().await?).await?;
    testkit::hls::Viewer::open(&sandbox.hls(slug)).await?;
    Ok(publication)
}

/// A friend who joined and is seen.
async fn friend(sandbox: &Sandbox, owner: &Account, slug: &str, name: &str) -> Result<FriendNode> {
    let link = invite(owner, slug, name).await?;
    let node = FriendNode::join(&link, name, &[])?;
    let seen = eventually(SOON, "the friend is online", || async {
        let friends = friends(owner, slug).await?;
        let online = friends
            .iter()
            .any(|friend| friend["name"] == name && friend["status"] == "online");
        Ok(online.then_some(()))
    });
    if let Err(error) = seen.await {
        return Err(error.context(node.log()));
    }
    sandbox.all_run().await?;
    Ok(node)
}

/// What friends sent to each page.
fn by_friends(pages: &[PageCounts]) -> Vec<u64> {
    let each = pages.iter().map(|page| page.carried().friends);
    each.collect()
}

/// Waits until every page gets bytes from friends, more than it had.
async fn all_carried(watchers: &mut Watchers, before: &[u64]) -> Result<()> {
    let began = std::time::Instant::now();
    loop {
        let pages = watchers.read().await?;
        let mut now = by_friends(&pages).into_iter().zip(before);
        if now.all(|(now, before)| now > *before) {
            return Ok(());
        }
        ensure!(
            began.elapsed() < FOUND,
            "not all pages are carried, {before:?} before: {pages:?}"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn number(value: &Value) -> Result<u64> {
    value
        .as_u64()
        .with_context(|| format!("{value} is no number"))
}

#[tokio::test]
async fn three_pages_get_their_stream_from_a_friend() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "carried";
        let _publication = under_way(sandbox, slug).await?;
        let owner = sandbox.owner().await?;
        let node = friend(sandbox, &owner, slug, "Ana").await?;
        let _turn = Turn::at_load().await?;
        let mut watchers = Watchers::start()?;
        watchers
            .open(&sandbox.watch_page(slug), 3, "friends")
            .await?;
        all_carried(&mut watchers, &[0; 3]).await?;
        let before = watchers.carried().await?;
        tokio::time::sleep(Duration::from_secs(20)).await;
        let after = watchers.carried().await?;
        let pages = watchers.read().await?;
        let steady = after.since(before);
        say(&format!(
            "share of friends and peers: {:.3} steady, {:.3} with the start",
            steady.share(),
            after.share()
        ));
        ensure!(steady.share() >= 0.8, "{steady:?} of {pages:?}");
        ensure!(
            pages.iter().all(|page| page.state == "playing"),
            "{pages:?}"
        );
        ensure!(pages.iter().all(|page| page.errors.is_empty()), "{pages:?}");

        watchers.close().await?;
        agree(&owner, slug, &node, &pages).await
    })
    .await
}

#[tokio::test]
async fn who_comes_in_a_streams_first_seconds_falls_back_to_where_friends_can_serve() -> Result<()>
{
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "early";
        let stream = sandbox.add_stream(slug).await?;
        let owner = sandbox.owner().await?;
        let _node = friend(sandbox, &owner, slug, "Ute").await?;
        let _turn = Turn::at_load().await?;
        let mut watchers = Watchers::start()?;
        // The page is there before the stream is.
        watchers
            .open(&sandbox.watch_page(slug), 1, "friends")
            .await?;
        let source = Source::new(&Fixture::plain().await?);
        let _publication = source.publish(sandbox.rtmp(), &stream.key).await?;
        all_carried(&mut watchers, &[0]).await?;
        let began = std::time::Instant::now();
        loop {
            let before = watchers.carried().await?;
            watchers.forget().await?;
            tokio::time::sleep(Duration::from_secs(20)).await;
            let page = watchers.read().await?.remove(0);
            let share = page.carried().since(before).share();
            say(&format!(
                "a page that was there before the stream: {share:.3} from the friend, {:?} s behind live",
                page.latency
            ));
            if share >= 0.8 && page.longest_freeze_ms < 1500 && page.state == "playing" {
                return Ok(());
            }
            ensure!(began.elapsed() < FOUND, "{page:?}");
        }
    })
    .await
}

/// Page, API, database and node show the same numbers, once the last receipts are in.
async fn agree(owner: &Account, slug: &str, node: &FriendNode, pages: &[PageCounts]) -> Result<()> {
    let read: Carried = pages.iter().map(PageCounts::carried).sum();
    let unsure = UNACKNOWLEDGED * pages.len() as u64;
    // What comes in last is seen by one before the other.
    eventually(COUNTED, "all that was carried is counted", || async {
        same_numbers(owner, slug, node, (read, unsure)).await?;
        Ok(Some(()))
    })
    .await
}

async fn same_numbers(
    owner: &Account,
    slug: &str,
    node: &FriendNode,
    (read, unsure): (Carried, u64),
) -> Result<()> {
    let told = delivery(owner, slug).await?;
    let total = number(&told["bytes"]["friends"])?;
    // Pages went on for a moment after they were read.
    ensure!(
        total + unsure >= read.friends && number(&told["bytes"]["edge"])? >= read.edge,
        "{read:?}: {told}"
    );
    let nodes = told["nodes"].as_array().context("no nodes")?;
    let by_node: u64 = nodes
        .iter()
        .map(|node| number(&node["bytes"]))
        .sum::<Result<u64>>()?;
    ensure!(by_node == total, "{told}");
    let shown = friends(owner, slug).await?;
    let month = number(&shown[0]["month_bytes"])?;
    ensure!(month == total, "friends page: {month}, delivery: {total}");
    // What a page had not finished when it closed was sent, and verified by nobody.
    let status = node.status().await?;
    ensure!(
        status.total_bytes >= total && status.total_bytes < total + total / 4 + 4_000_000,
        "the node says {status:?}, verified are {total}"
    );
    let url = shown[0]["supporter_url"].as_str().context("no address")?;
    let (page, key) = url.split_once('#').context("no key")?;
    let id = page.rsplit('/').next().context("no node")?;
    let supporter = owner.get(&format!("/supporters/{id}?key={key}")).await?;
    ensure!(
        number(&supporter["streams"][0]["total_bytes"])? == total,
        "{supporter}"
    );
    Ok(())
}

#[tokio::test]
async fn a_stock_page_gets_its_stream_from_a_friend() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "stock";
        let _publication = under_way(sandbox, slug).await?;
        let owner = sandbox.owner().await?;
        let _node = friend(sandbox, &owner, slug, "Ben").await?;
        let _turn = Turn::at_load().await?;
        // It stays as near to live as it began: in a stream's first seconds, nearer than friends serve.
        tokio::time::sleep(STOCK_BEGINS).await;
        let session = owner
            .post(&format!("/streams/{slug}/sessions"), &json!({}))
            .await?;
        let mut watchers = Watchers::start()?;
        watchers.stock(&session).await?;
        let stock = |pages: Vec<PageCounts>| pages.first().and_then(PageCounts::stock);
        let began = std::time::Instant::now();
        let before = loop {
            let read = stock(watchers.read().await?).context("no counters")?;
            if read.0 > 0 {
                break read;
            }
            ensure!(
                began.elapsed() < FOUND,
                "the page found no friend: {read:?}"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::time::sleep(Duration::from_secs(20)).await;
        let after = stock(watchers.read().await?).context("no counters")?;
        let (p2p, http) = (after.0 - before.0, after.1 - before.1);
        say(&format!(
            "a stock page: {p2p} bytes from peers, {http} by HTTP; {after:?} in all"
        ));
        ensure!(p2p >= 4 * http, "{p2p} from peers, {http} by HTTP");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_friend_that_dies_stalls_nobody_and_may_come_back() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "orphans";
        let _publication = under_way(sandbox, slug).await?;
        let owner = sandbox.owner().await?;
        let mut node = friend(sandbox, &owner, slug, "Eva").await?;
        let _turn = Turn::at_load().await?;
        let mut watchers = Watchers::start()?;
        watchers
            .open(&sandbox.watch_page(slug), 3, "friends")
            .await?;
        let mut light = Vec::new();
        for _ in 0..7 {
            light.push(Light::watch(sandbox, slug).await?);
        }
        all_carried(&mut watchers, &[0; 3]).await?;
        eventually(FOUND, "the friend carries all ten", || async {
            let friends = friends(&owner, slug).await?;
            let counts: Vec<_> = light.iter().map(Light::counts).collect();
            ensure!(
                counts.iter().all(|light| light.bytes.friends > 0)
                    && friends.iter().any(|friend| friend["viewers"] == 10),
                "{friends:?} {counts:?}"
            );
            Ok(Some(()))
        })
        .await?;
        watchers.forget().await?;
        let stalled = |light: &Light| light.counts().stalled;
        let before: Vec<Duration> = light.iter().map(stalled).collect();
        node.process().kill()?;
        tokio::time::sleep(Duration::from_secs(15)).await;
        let pages = watchers.read().await?;
        let freezes: Vec<u64> = pages.iter().map(|page| page.longest_freeze_ms).collect();
        let stalls: Vec<Duration> = light
            .iter()
            .zip(before)
            .map(|(light, before)| stalled(light).saturating_sub(before))
            .collect();
        say(&format!(
            "the friend of ten was killed: the pages' longest freezes {freezes:?} ms, light viewers stalled {stalls:?}"
        ));
        // Half a second, with the margin of a loaded machine.
        ensure!(freezes.iter().all(|freeze| *freeze < 1500), "{pages:?}");
        let margin = Duration::from_millis(1500);
        ensure!(stalls.iter().all(|stalled| *stalled < margin), "{stalls:?}");
        ensure!(
            pages.iter().all(|page| page.state == "playing"),
            "{pages:?}"
        );
        eventually(PLAYABLE, "the friend is offline", || async {
            let friends = friends(&owner, slug).await?;
            Ok(friends
                .iter()
                .any(|friend| friend["status"] == "offline")
                .then_some(()))
        })
        .await?;
        let bytes = |light: &Light| light.counts().bytes.friends;
        let lights: Vec<u64> = light.iter().map(bytes).collect();
        let pages = by_friends(&watchers.read().await?);
        node.restart("Eva")?;
        eventually(FOUND, "the friend is back, and carries all ten again", || async {
            let friends = friends(&owner, slug).await?;
            let again = light.iter().map(bytes).zip(&lights);
            ensure!(
                again.clone().all(|(now, before)| now > *before)
                    && friends.iter().any(|friend| friend["viewers"] == 10),
                "{friends:?} {:?}",
                again.collect::<Vec<_>>()
            );
            Ok(Some(()))
        })
        .await?;
        all_carried(&mut watchers, &pages).await
    })
    .await
}

/// Kills all coordinators under pages that a friend carries: they go on, and what they signed meanwhile counts.
async fn without_coordinators(away: Duration) -> Result<()> {
    let _turn = Turn::at_load().await?;
    let sandbox = Sandbox::cluster().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let slug = "alone";
        let _publication = under_way(&sandbox, slug).await?;
        let owner = sandbox.owner().await?;
        let node = friend(&sandbox, &owner, slug, "Ida").await?;
        let mut watchers = Watchers::start()?;
        watchers
            .open(&sandbox.watch_page(slug), 2, "friends")
            .await?;
        all_carried(&mut watchers, &[0; 2]).await?;
        watchers.forget().await?;
        let before = watchers.carried().await?;
        for coordinator in ["coordinator-1", "coordinator-2"] {
            sandbox.kill(coordinator).await?;
        }
        tokio::time::sleep(away).await;
        let pages = watchers.read().await?;
        let gone = watchers.carried().await?.since(before);
        let freezes: Vec<u64> = pages.iter().map(|page| page.longest_freeze_ms).collect();
        say(&format!(
            "{away:?} without coordinators: {:.3} from friends, longest freezes {freezes:?} ms",
            gone.share()
        ));
        ensure!(gone.share() >= 0.8, "{gone:?} {pages:?} {}", node.log());
        ensure!(freezes.iter().all(|freeze| *freeze < 1500), "{pages:?}");
        ensure!(
            pages.iter().all(|page| page.state == "playing"),
            "{pages:?}"
        );

        for coordinator in ["coordinator-1", "coordinator-2"] {
            sandbox.launch(coordinator).await?;
            sandbox.ready(coordinator).await?;
        }
        let owner = sandbox.owner().await?;
        eventually(COUNTED, "the friend is back with its viewers", || async {
            let friends = friends(&owner, slug).await?;
            let back = friends
                .iter()
                .any(|friend| friend["status"] == "online" && friend["viewers"] == 2);
            Ok(back.then_some(()))
        })
        .await?;
        let pages = watchers.read().await?;
        watchers.close().await?;
        agree(&owner, slug, &node, &pages).await
    })
    .await
}

#[tokio::test]
async fn friends_go_on_without_the_coordinator() -> Result<()> {
    without_coordinators(Duration::from_secs(60)).await
}

#[tokio::test]
#[ignore = "takes ten minutes; `cargo xtask distributed` runs it"]
async fn friends_go_on_for_ten_minutes_without_the_coordinator() -> Result<()> {
    without_coordinators(Duration::from_mins(10)).await
}
