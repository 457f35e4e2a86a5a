//! Nodes and viewers that don't keep to the rules: what they send is not played, what they claim does not count,
//! and they are let go of.

mod access;
mod pages;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use economy::{Receipt, Signature};
use testkit::{
    Account, Fixture, Publication, Sandbox, eventually,
    friends::{
        Fault, Habits, Light, LightCounts, Rogue, delivery, friends, invite,
        light::{self, Session},
    },
};
use tokio::time::{Instant, sleep};
use types::{ByteCount, NodeId};

use crate::support::{PLAYABLE, SOON, live, say, scenario, shared};

/// For a viewer to be given a node, to link with it and to take a segment; a segment is 2 s.
const CARRIED: Duration = Duration::from_secs(60);
/// Three times what a test pull may take: two segments of 2 s.
const TESTED: Duration = Duration::from_secs(12);
/// For facts to be written and reconciled.
const COUNTED: Duration = Duration::from_secs(30);

/// By then what was told is reconciled; a session that nobody is at ends much later.
const RECONCILED: Duration = Duration::from_secs(8);
/// A viewer's last message, whose acknowledgement its node may never hear.
const UNHEARD: u64 = 32 * 1024;

/// A live stream that can be played.
async fn playable(sandbox: &Sandbox, slug: &str) -> Result<Publication> {
    let (_, publication) = live(sandbox, slug, &Fixture::plain().await?).await?;
    let url = sandbox.friends(slug);
    let client = testkit::http::client()?;
    eventually(PLAYABLE, "the stream can be played", || async {
        let answer = testkit::http::get(&client, &url).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    Ok(publication)
}

/// A node of ours, invited by the owner.
async fn rogue(sandbox: &Sandbox, slug: &str, fault: Fault) -> Result<Rogue> {
    let link = invite(&sandbox.owner().await?, slug, "A rogue").await?;
    Rogue::join(&link, "A rogue", fault).await
}

/// Waits until a viewer's counts are as wanted.
async fn until(
    light: &Light,
    what: &str,
    wanted: impl Fn(&LightCounts) -> bool,
) -> Result<LightCounts> {
    eventually(CARRIED, what, || async {
        let counts = light.counts();
        ensure!(wanted(&counts), "{counts:?}");
        Ok(Some(counts))
    })
    .await
}

/// What the API says that a node carried of a stream.
async fn carried(owner: &Account, slug: &str, node: NodeId) -> Result<u64> {
    let said = delivery(owner, slug).await?;
    let nodes = said["nodes"].as_array().context("nodes")?;
    let named = nodes.iter().find(|one| one["node"] == node.to_string());
    Ok(named.map_or(0, |one| one["bytes"].as_u64().unwrap_or(u64::MAX)))
}

#[tokio::test]
async fn wrong_bytes_are_not_played_and_their_sender_is_left() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "wrong-bytes").await?;
        let owner = sandbox.owner().await?;
        let alone = Light::alone(sandbox, "wrong-bytes").await?;
        for fault in [Fault::Alter, Fault::Truncate, Fault::Swap] {
            let rogue = rogue(sandbox, "wrong-bytes", fault).await?;
            let light = Light::watch(sandbox, "wrong-bytes").await?;
            let what = format!("{fault:?} is found out");
            let found = until(&light, &what, |counts| counts.rejected > 0).await?;
            let played = found.played.len();
            let counts = until(&light, "it goes on from the edge", |counts| {
                counts.played.len() > played + 2
            })
            .await?;
            ensure!(counts.bytes.friends == 0, "{fault:?}: {counts:?}");
            compare(&counts.played, &alone)?;
            let accused = sandbox.metrics().await?;
            ensure!(
                accused.contains("streamr_accusations_total"),
                "nobody was accused"
            );
            let path = format!("/streams/wrong-bytes/friends/{}", rogue.node);
            owner.delete(&path).await?;
        }
        Ok(())
    })
    .await
}

/// What was played is what the edge serves.
fn compare(played: &std::collections::BTreeMap<types::Msn, [u8; 32]>, alone: &Light) -> Result<()> {
    let right = alone.counts().played;
    let mut compared = 0;
    for (msn, hash) in played {
        if let Some(known) = right.get(msn) {
            ensure!(known == hash, "segment {msn} is not what the edge serves");
            compared += 1;
        }
    }
    ensure!(compared > 1, "nothing to compare: {right:?}");
    Ok(())
}

#[tokio::test]
async fn an_accused_node_is_replaced_by_another() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "replaced").await?;
        let altering = rogue(sandbox, "replaced", Fault::Alter).await?;
        let light = Light::watch(sandbox, "replaced").await?;
        let alone = Light::alone(sandbox, "replaced").await?;
        let owner = sandbox.owner().await?;
        until(&light, "wrong bytes came", |counts| counts.rejected > 0).await?;
        let reported = Instant::now();
        // The coordinator asks for some itself, and finds them wrong: the node gets no more viewers.
        eventually(TESTED, "the node is quarantined", || async {
            let friends = friends(&owner, "replaced").await?;
            let caught = friends
                .iter()
                .any(|friend| friend["status"] == "quarantined");
            Ok(caught.then_some(()))
        })
        .await?;
        say(&format!(
            "a node is set aside {} ms after the first report",
            reported.elapsed().as_millis()
        ));
        let honest = rogue(sandbox, "replaced", Fault::Honest).await?;
        let counts = until(&light, "the honest node carries it", |counts| {
            counts
                .by_node
                .get(&honest.node)
                .is_some_and(|bytes| *bytes > 500_000)
        })
        .await?;
        ensure!(!counts.by_node.contains_key(&altering.node), "{counts:?}");
        compare(&counts.played, &alone)?;

        // Who runs the server reads why, and may let it help again.
        let node = altering.node.to_string();
        let told = sandbox.streamr(&["admin", "node", &node]).await?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        ensure!(
            told.contains("set aside") && told.contains("digest"),
            "{told}"
        );
        let released = sandbox
            .streamr(&["admin", "node", &node, "--release"])
            .await?;
        ensure!(released.status.success(), "{released:?}");
        eventually(SOON, "the node may help again", || async {
            let friends = friends(&owner, "replaced").await?;
            let aside = friends
                .iter()
                .any(|friend| friend["status"] == "quarantined");
            Ok((!aside).then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_node_that_withholds_costs_no_segment() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "withheld").await?;
        let withholding = rogue(sandbox, "withheld", Fault::Withhold).await?;
        let light = Light::watch(sandbox, "withheld").await?;
        let missed = until(&light, "something is withheld", |counts| counts.missed > 1).await?;
        let played = missed.played.len();
        let counts = until(&light, "it goes on", |counts| {
            counts.played.len() > played + 3
        })
        .await?;
        ensure!(counts.bytes.friends == 0, "{counts:?}");
        let first = counts.played.keys().next().context("a segment")?.get();
        let last = counts.played.keys().next_back().context("one")?.get();
        ensure!(
            counts.played.len() as u64 == last - first + 1,
            "one is missing: {counts:?}"
        );
        ensure!(withholding.seen().delivered == 0);
        Ok(())
    })
    .await
}

/// One rogue and one viewer on a stream of their own. Answers what the viewer verified from it, what the rogue
/// claims, and what counts.
async fn counted(sandbox: &Sandbox, slug: &str, fault: Fault) -> Result<(u64, u64, u64)> {
    let _publication = playable(sandbox, slug).await?;
    let rogue = rogue(sandbox, slug, fault).await?;
    let light = Light::watch(sandbox, slug).await?;
    until(&light, "it is carried", |counts| {
        counts
            .by_node
            .get(&rogue.node)
            .is_some_and(|bytes| *bytes > 1_000_000)
    })
    .await?;
    let verified = light.leave().await?.bytes.friends;
    let owner = sandbox.owner().await?;
    eventually(COUNTED, "its reports are kept", || async {
        let seen = rogue.seen();
        // What was on its way when the viewer left is not acknowledged.
        ensure!(seen.delivered > verified / 2 && seen.kept > 1, "{seen:?}");
        Ok(Some(()))
    })
    .await?;
    if fault != Fault::Future {
        eventually(COUNTED, "what it carried counts", || async {
            let bytes = carried(&owner, slug, rogue.node).await?;
            ensure!(
                bytes > verified / 2,
                "{bytes} of {verified}: {:?}",
                rogue.seen()
            );
            Ok(Some(()))
        })
        .await?;
    }
    // What is wrong would be there by now.
    sleep(Duration::from_secs(5)).await;
    let bytes = carried(&owner, slug, rogue.node).await?;
    let said = delivery(&owner, slug).await?;
    let all = said["bytes"]["friends"].as_u64().context("friends")?;
    ensure!(
        all <= verified,
        "{fault:?}: {all} of {verified} verified: {said}"
    );
    Ok((verified, rogue.seen().claimed, bytes))
}

#[tokio::test]
async fn claims_count_only_as_far_as_viewers_signed_for_them() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let (inflated, future, replayed) = tokio::try_join!(
            counted(sandbox, "inflated", Fault::Inflate),
            counted(sandbox, "future", Fault::Future),
            counted(sandbox, "replayed", Fault::Replay),
        )?;
        let (verified, claimed, counts) = inflated;
        ensure!(claimed > verified * 5 && counts <= verified, "{inflated:?}");
        let (_, claimed, counts) = future;
        ensure!(claimed > 0 && counts == 0, "the future counts: {future:?}");
        let (verified, claimed, counts) = replayed;
        ensure!(
            claimed > verified * 3 / 2 && counts <= verified,
            "{replayed:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn reports_are_signed_by_who_sends_them() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "forged").await?;
        let forging = rogue(sandbox, "forged", Fault::Forge).await?;
        let light = Light::watch(sandbox, "forged").await?;
        eventually(CARRIED, "its line is cut", || async {
            let seen = forging.seen();
            ensure!(
                seen.claimed > 0 && seen.ended == Some(tonic::Code::InvalidArgument),
                "{seen:?}"
            );
            Ok(Some(()))
        })
        .await?;
        ensure!(forging.seen().kept == 0, "{:?}", forging.seen());
        light.leave().await?;
        sleep(Duration::from_secs(5)).await;
        let owner = sandbox.owner().await?;
        ensure!(
            carried(&owner, "forged", forging.node).await? == 0,
            "a forged report counts"
        );
        Ok(())
    })
    .await
}

fn receipt(session: &Session, counter: u64, nodes: Vec<(NodeId, ByteCount)>) -> Receipt {
    Receipt {
        session: session.id,
        epoch: 1,
        counter,
        at_ms: light::now_ms(),
        nodes,
        peers: ByteCount::ZERO,
        edge: ByteCount::ZERO,
    }
}

#[tokio::test]
async fn receipts_are_signed_timely_and_new() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "receipts").await?;
        let session = Session::open(sandbox, "receipts", true).await?;
        let another = Session::open(sandbox, "receipts", true).await?;
        let status = async |receipt: &Receipt, signature: Signature| -> Result<(u16, String)> {
            let answer = session.send(receipt, signature).await?;
            Ok((answer.status.as_u16(), answer.text()))
        };
        let good = receipt(&session, 1, Vec::new());
        let forged = status(&good, another.sign(&good)).await?;
        ensure!(forged.0 == 403, "another's key: {forged:?}");
        let mut changed = good.clone();
        changed.edge = ByteCount::new(1);
        let forged = status(&changed, session.sign(&good)).await?;
        ensure!(forged.0 == 403, "changed after it was signed: {forged:?}");
        let kept = status(&good, session.sign(&good)).await?;
        ensure!(kept.0 == 200, "a good one: {kept:?}");
        let replayed = status(&good, session.sign(&good)).await?;
        ensure!(replayed.0 == 409, "a replay: {replayed:?}");
        let mut future = receipt(&session, 2, Vec::new());
        future.at_ms += 3_600_000;
        let early = status(&future, session.sign(&future)).await?;
        ensure!([400, 422].contains(&early.0), "of the future: {early:?}");
        let mut absurd = receipt(&session, 2, Vec::new());
        absurd.peers = ByteCount::new(i64::MAX as u64);
        let refused = status(&absurd, session.sign(&absurd)).await?;
        ensure!(
            [400, 422].contains(&refused.0),
            "all bytes there are: {refused:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn receipts_for_a_node_that_was_not_given_earn_nothing() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "unassigned").await?;
        let _other = playable(sandbox, "elsewhere").await?;
        let accomplice = rogue(sandbox, "elsewhere", Fault::Honest).await?;
        // One session is watched, so that the stream's delivery is counted at all.
        let light = Light::watch(sandbox, "unassigned").await?;
        let session = Session::open(sandbox, "unassigned", true).await?;
        // It is there, as pages are.
        let url = session.trackers.first().context("a tracker")?;
        let mut socket = light::connect(url).await?;
        light::shout(&mut socket, &light::announce(session.stream), 1).await?;
        let invented = NodeId::new();
        let mut nodes = vec![accomplice.node, invented];
        nodes.sort();
        let nodes = nodes.into_iter().map(|node| (node, ByteCount::mib(5)));
        let said = receipt(&session, 1, nodes.collect());
        let answer = session.send(&said, session.sign(&said)).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        until(&light, "it plays", |counts| counts.played.len() > 3).await?;
        light.leave().await?;
        let owner = sandbox.owner().await?;
        eventually(COUNTED, "receipts count", || async {
            let said = delivery(&owner, "unassigned").await?;
            Ok(said["bytes"]["edge"].as_u64().filter(|bytes| *bytes > 0))
        })
        .await?;
        sleep(Duration::from_secs(3)).await;
        let said = delivery(&owner, "unassigned").await?;
        ensure!(said["bytes"]["friends"] == 0, "{said}");
        let nodes = said["nodes"].as_array().context("nodes")?;
        ensure!(nodes.is_empty(), "{said}");
        ensure!(carried(&owner, "elsewhere", accomplice.node).await? == 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn receipts_that_are_held_back_count_once_they_come() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let slug = "hoarded";
        let _publication = playable(sandbox, slug).await?;
        let honest = rogue(sandbox, slug, Fault::Honest).await?;
        let silent = async || {
            let session = Session::open(sandbox, slug, true).await?;
            let signs = false;
            Light::with(
                session,
                Habits {
                    signs,
                    ..Habits::default()
                },
            )
            .await
        };
        let (never, late, good) = (
            silent().await?,
            silent().await?,
            Light::watch(sandbox, slug).await?,
        );
        for light in [&never, &late, &good] {
            until(light, "it is carried", |counts| {
                counts
                    .by_node
                    .get(&honest.node)
                    .is_some_and(|bytes| *bytes > 1_000_000)
            })
            .await?;
        }
        let owner = sandbox.owner().await?;
        // Who signs counts, to the last message that the node heard was received; who does not, counts for nothing.
        let counts = async |verified: u64, lights: u64| {
            eventually(COUNTED, "what was signed counts", || async {
                let bytes = carried(&owner, slug, honest.node).await?;
                ensure!(bytes <= verified, "{bytes} of {verified} signed");
                ensure!(
                    bytes + lights * UNHEARD >= verified,
                    "{bytes} of {verified}"
                );
                Ok(Some(()))
            })
            .await
        };
        drop(never);
        let signed = good.leave().await?.bytes.friends;
        counts(signed, 1).await?;
        // A whole session's receipt comes when all else was reconciled, and counts as if it had come in time.
        let late = late.go().await?;
        sleep(RECONCILED).await;
        counts(signed, 1).await?;
        let all = signed + late.sign().await?.bytes.friends;
        counts(all, 2).await?;
        Ok(())
    })
    .await
}
