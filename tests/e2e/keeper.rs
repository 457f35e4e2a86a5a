//! Several coordinators and one swarm: whoever a node or a viewer comes to, they meet; the one that keeps the swarm
//! may die.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{
    Fixture, Publication, Sandbox, eventually,
    friends::{FriendNode, Light, LightCounts, delivery, friends, invite},
};
use tokio::time::{Instant, sleep};

use crate::support::{PLAYABLE, SOON, live, say, scenario, scenario_of_the_dead};

/// For a viewer to be given a node, to link with it and to take a segment; a segment is 2 s.
const CARRIED: Duration = Duration::from_secs(60);
/// From the keeper's death to a new viewer's first bytes from a friend: the lease, the node's way back, a segment;
/// three times that.
const AGAIN: Duration = Duration::from_secs(45);
/// For facts to be written and reconciled.
const COUNTED: Duration = Duration::from_secs(120);
const COORDINATORS: [&str; 2] = ["coordinator-1", "coordinator-2"];

/// A live stream that can be played.
async fn playable(sandbox: &Sandbox, slug: &str) -> Result<Publication> {
    let (_, publication) = live(sandbox, slug, &Fixture::plain().await?).await?;
    let (url, client) = (sandbox.friends(slug), testkit::http::client()?);
    eventually(PLAYABLE, "the stream can be played", || async {
        let answer = testkit::http::get(&client, &url).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    Ok(publication)
}

async fn keeps(sandbox: &Sandbox, name: &str) -> Result<bool> {
    let metrics = sandbox.metrics_of(name).await?;
    Ok(metrics.lines().any(|line| line == "streamr_swarm_keeper 1"))
}

/// Who keeps the swarm, and who does not.
async fn keeper(sandbox: &Sandbox) -> Result<(&'static str, &'static str)> {
    let [one, other] = COORDINATORS;
    eventually(SOON, "one coordinator keeps the swarm", || async {
        let (first, second) = (keeps(sandbox, one).await?, keeps(sandbox, other).await?);
        Ok(match (first, second) {
            (true, false) => Some((one, other)),
            (false, true) => Some((other, one)),
            _ => None,
        })
    })
    .await
}

async fn until(
    light: &Light,
    limit: Duration,
    what: &str,
    wanted: impl Fn(&LightCounts) -> bool,
) -> Result<LightCounts> {
    eventually(limit, what, || async {
        let counts = light.counts();
        ensure!(wanted(&counts), "{counts:?}");
        Ok(Some(counts))
    })
    .await
}

/// A friend whose node comes to the coordinator at `origin`.
async fn friend(sandbox: &Sandbox, slug: &str, name: &str, origin: &str) -> Result<FriendNode> {
    let owner = sandbox.owner().await?;
    let link = invite(&owner, slug, name).await?;
    let (_, secret) = link.split_once("/join#").context("an invite")?;
    let node = FriendNode::join(&format!("{origin}/join#{secret}"), name, &[])?;
    eventually(SOON, "the friend is online", || async {
        let friends = friends(&owner, slug).await?;
        let online =
            |friend: &serde_json::Value| friend["name"] == name && friend["status"] == "online";
        Ok(friends.iter().any(online).then_some(()))
    })
    .await
    .with_context(|| node.log())?;
    Ok(node)
}

#[tokio::test]
async fn another_coordinator_keeps_the_swarm_when_its_keeper_is_killed() -> Result<()> {
    let sandbox = Sandbox::cluster().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let slug = "kept";
        let _publication = playable(&sandbox, slug).await?;
        let (keeper, other) = keeper(&sandbox).await?;
        let (there, elsewhere) = (sandbox.origin(keeper)?, sandbox.origin(other)?);
        let node = friend(&sandbox, slug, "Ana", &elsewhere).await?;
        let near = Light::watch_at(&sandbox, slug, &there).await?;
        let far = Light::watch_at(&sandbox, slug, &elsewhere).await?;
        for light in [&near, &far] {
            until(light, CARRIED, "it is carried", |counts| {
                counts.bytes.friends > 0
            })
            .await?;
        }
        let before = [near.counts(), far.counts()];

        let killed = Instant::now();
        sandbox.kill(keeper).await?;
        eventually(AGAIN, "the other one keeps the swarm", || async {
            Ok(keeps(&sandbox, other).await?.then_some(()))
        })
        .await?;
        let taken = killed.elapsed();
        let new = Light::watch(&sandbox, slug).await?;
        let left = AGAIN.saturating_sub(killed.elapsed());
        until(&new, left, "a new viewer is carried", |counts| {
            counts.bytes.friends > 0
        })
        .await
        .with_context(|| node.log())?;
        say(&format!(
            "the keeper was killed: another after {taken:?}, a new viewer carried after {:?}",
            killed.elapsed()
        ));
        for (light, before) in [&near, &far].into_iter().zip(before) {
            let counts = until(light, CARRIED, "its friend goes on", |counts| {
                counts.bytes.friends > before.bytes.friends && counts.links > 0
            })
            .await?;
            let stalled = counts.stalled.saturating_sub(before.stalled);
            ensure!(stalled < Duration::from_millis(1500), "{counts:?}");
            eventually(SOON, "the new keeper says who carries it", || async {
                let names = light.session.carriers(&elsewhere).await?;
                Ok(names.iter().any(|name| name == "Ana").then_some(()))
            })
            .await?;
        }
        sandbox.launch(keeper).await?;
        sandbox.ready(keeper).await?;
        ensure!(
            !keeps(&sandbox, keeper).await?,
            "two coordinators keep the swarm"
        );
        all_is_counted(&sandbox, slug, [near, far, new]).await
    })
    .await
}

/// What viewers verified is what the API says, to the byte.
async fn all_is_counted<const N: usize>(
    sandbox: &Sandbox,
    slug: &str,
    lights: [Light; N],
) -> Result<()> {
    let mut verified = 0;
    for light in lights {
        verified += light.leave().await?.bytes.friends;
    }
    let owner = sandbox.owner().await?;
    eventually(COUNTED, "all that was verified is counted", || async {
        let told = delivery(&owner, slug).await?;
        ensure!(told["bytes"]["friends"] == verified, "{verified}: {told}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_keeper_that_stops_hands_the_swarm_over() -> Result<()> {
    let sandbox = Sandbox::cluster().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let slug = "handed";
        let _publication = playable(&sandbox, slug).await?;
        let (keeper, other) = keeper(&sandbox).await?;
        let _node = friend(&sandbox, slug, "Ben", &sandbox.origin(other)?).await?;
        let stopped = Instant::now();
        sandbox.signal(keeper, "TERM").await?;
        let owner = sandbox.owner().await?;
        let took = eventually(AGAIN, "the friend is online at the other one", || async {
            let online = keeps(&sandbox, other).await?
                && friends(&owner, slug)
                    .await?
                    .iter()
                    .any(|one| one["status"] == "online");
            Ok(online.then(|| stopped.elapsed()))
        })
        .await?;
        say(&format!(
            "the keeper was stopped: a friend at the other after {took:?}"
        ));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_keeper_that_hung_and_wakes_lets_go() -> Result<()> {
    let sandbox = Sandbox::cluster().start().await?;
    scenario(&sandbox, async {
        let slug = "hung";
        let _publication = playable(&sandbox, slug).await?;
        let (keeper, other) = keeper(&sandbox).await?;
        let there = sandbox.origin(keeper)?;
        let _node = friend(&sandbox, slug, "Eva", &there).await?;
        sandbox.signal(keeper, "STOP").await?;
        eventually(AGAIN, "the other one keeps the swarm", || async {
            Ok(keeps(&sandbox, other).await?.then_some(()))
        })
        .await?;
        sandbox.signal(keeper, "CONT").await?;
        eventually(SOON, "the woken one knows it", || async {
            Ok((!keeps(&sandbox, keeper).await?).then_some(()))
        })
        .await?;
        // The node is sent away by the one, and comes through it to the other.
        sleep(Duration::from_secs(1)).await;
        let light = Light::watch_at(&sandbox, slug, &there).await?;
        until(&light, AGAIN, "a viewer is carried", |counts| {
            counts.bytes.friends > 0
        })
        .await?;
        Ok(())
    })
    .await
}
