//! Real pages among nodes that don't keep to the rules, and viewers that accuse the innocent.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{
    Turn, eventually,
    friends::{Fault, Light, PageCounts, Watchers, friends},
};
use tokio::time::{Instant, sleep};

use super::{COUNTED, playable, rogue, until};
use crate::support::{say, scenario, shared};

/// For a page to find a node, on a machine that does much else.
const FOUND: Duration = Duration::from_secs(120);

/// Reads one page until it counts what is wanted.
async fn page_until(
    watchers: &mut Watchers,
    what: &str,
    wanted: impl Fn(&PageCounts) -> bool,
) -> Result<PageCounts> {
    let began = Instant::now();
    loop {
        let page = watchers.read().await?.pop().context("no page")?;
        if wanted(&page) {
            return Ok(page);
        }
        ensure!(began.elapsed() < FOUND, "{what}: {page:?}");
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_page_plays_nothing_that_is_wrong() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "wrong";
        let _publication = playable(sandbox, slug).await?;
        let owner = sandbox.owner().await?;
        let _turn = Turn::at_load().await?;
        let mut watchers = Watchers::start()?;
        for fault in [Fault::Alter, Fault::Truncate, Fault::Swap] {
            let rogue = rogue(sandbox, slug, fault).await?;
            watchers
                .open(&sandbox.watch_page(slug), 1, "friends")
                .await?;
            let what = format!("{fault:?} is found out");
            let found = page_until(&mut watchers, &what, |page| page.rejected().friends > 0);
            let found = found.await?;
            ensure!(
                found.left().wrong > 0,
                "{fault:?}: its sender is not left: {found:?}"
            );
            eventually(COUNTED, "the node is quarantined", || async {
                let friends = friends(&owner, slug).await?;
                let caught = friends
                    .iter()
                    .any(|friend| friend["status"] == "quarantined");
                Ok(caught.then_some(()))
            })
            .await?;
            watchers.forget().await?;
            sleep(Duration::from_secs(6)).await;
            let page = watchers.read().await?.pop().context("no page")?;
            ensure!(
                page.carried().friends == 0,
                "{fault:?}: wrong bytes count: {page:?}"
            );
            ensure!(
                page.state == "playing" && page.longest_freeze_ms < 1500 && page.time > found.time,
                "{fault:?}: {page:?}"
            );
            ensure!(page.errors.is_empty(), "{fault:?}: {page:?}");
            watchers.close().await?;
            let path = format!("/streams/{slug}/friends/{}", rogue.node);
            owner.delete(&path).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_page_leaves_a_friend_that_withholds() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "withholding";
        let _publication = playable(sandbox, slug).await?;
        let withholding = rogue(sandbox, slug, Fault::Withhold).await?;
        let _turn = Turn::at_load().await?;
        let mut watchers = Watchers::start()?;
        watchers
            .open(&sandbox.watch_page(slug), 1, "friends")
            .await?;
        let playing = page_until(&mut watchers, "it plays", |page| page.time > 2.0).await?;
        watchers.forget().await?;
        let left = page_until(&mut watchers, "who withholds is left", |page| {
            page.left().slow > 0
        })
        .await?;
        ensure!(withholding.seen().opened > 0, "{:?}", withholding.seen());
        ensure!(left.carried().friends == 0, "{left:?}");
        ensure!(
            left.state == "playing" && left.longest_freeze_ms < 1500 && left.time > playing.time,
            "{left:?}"
        );
        ensure!(left.errors.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_friend_that_is_too_slow_stalls_no_page() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "sluggish";
        let _publication = playable(sandbox, slug).await?;
        let slow = rogue(sandbox, slug, Fault::Slow).await?;
        let _turn = Turn::at_load().await?;
        let mut watchers = Watchers::start()?;
        watchers
            .open(&sandbox.watch_page(slug), 1, "friends")
            .await?;
        let playing = page_until(&mut watchers, "it plays", |page| page.time > 2.0).await?;
        watchers.forget().await?;
        eventually(FOUND, "they are linked", || async {
            Ok((slow.seen().opened > 0).then_some(()))
        })
        .await?;
        let linked = Instant::now();
        let left = page_until(&mut watchers, "the slow one is left", |page| {
            page.left().slow + page.left().told > 0
        })
        .await?;
        say(&format!(
            "a friend that is too slow is left {} s after they were linked; longest freeze {} ms",
            linked.elapsed().as_secs(),
            left.longest_freeze_ms
        ));
        ensure!(
            left.state == "playing" && left.longest_freeze_ms < 1500 && left.time > playing.time,
            "{left:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_false_accusation_moves_nobody_but_its_author() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "slander";
        let _publication = playable(sandbox, slug).await?;
        let honest = rogue(sandbox, slug, Fault::Honest).await?;
        let liar = Light::watch(sandbox, slug).await?;
        let other = Light::watch(sandbox, slug).await?;
        for light in [&liar, &other] {
            until(light, "it is carried", |counts| {
                counts.by_node.contains_key(&honest.node)
            })
            .await?;
        }
        let answer = liar.accuse(honest.node).await?;
        ensure!(answer.status == 202, "{}", answer.text());
        until(&liar, "its author is given another", |counts| {
            counts.links == 0
        })
        .await?;
        eventually(COUNTED, "the accused is tested, and cleared", || async {
            let metrics = sandbox.metrics().await?;
            Ok(metrics
                .contains("streamr_test_pulls_total{outcome=\"good\"}")
                .then_some(()))
        })
        .await?;
        let before = other.counts().bytes;
        let counts = until(&other, "another viewer goes on", |counts| {
            counts.bytes.friends > before.friends + 1_000_000
        })
        .await?;
        ensure!(counts.links == 1, "{counts:?}");
        let owner = sandbox.owner().await?;
        let listed = friends(&owner, slug).await?;
        ensure!(
            listed.iter().all(|friend| friend["status"] == "online"),
            "{listed:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_has_no_more_viewers_than_it_was_given() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "boast";
        let _publication = playable(sandbox, slug).await?;
        let boasting = rogue(sandbox, slug, Fault::Boast).await?;
        let light = Light::watch(sandbox, slug).await?;
        until(&light, "it is carried", |counts| {
            counts.by_node.contains_key(&boasting.node)
        })
        .await?;
        let owner = sandbox.owner().await?;
        // Some heartbeats later.
        sleep(Duration::from_secs(5)).await;
        let listed = friends(&owner, slug).await?;
        ensure!(
            listed.iter().any(|friend| friend["viewers"] == 1)
                && listed.iter().all(|friend| friend["viewers"] != 1000),
            "{listed:?}"
        );
        Ok(())
    })
    .await
}
