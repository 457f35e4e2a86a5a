//! Who may connect, and until when: trackers' tokens and floods, nodes' identities, and nodes that are revoked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto::node::{Description, connect_request::Message as Up, connect_response::Message as Down};
use reqwest::Method;
use serde_json::Value;
use testkit::{
    eventually,
    friends::{
        Fault, Light, LightCounts, Rogue, invite,
        light::{self, Session, Socket},
        rogue::{Key, Line, enrol},
    },
    within,
};
use tokio::time::sleep;
use tonic::Code;
use types::{NodeId, RunId};

use super::{CARRIED, playable, rogue, until};
use crate::support::{scenario, shared};

/// Three times what revoking may take.
const REVOKED: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_tracker_cuts_off_who_floods_it_and_knows_its_tokens() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "tracker").await?;
        let _honest = rogue(sandbox, "tracker", Fault::Honest).await?;
        let light = Light::watch(sandbox, "tracker").await?;
        until(&light, "it is carried", |counts| counts.bytes.friends > 0).await?;

        let session = Session::open(sandbox, "tracker", true).await?;
        let url = session.trackers.first().context("a tracker")?;
        let mut socket = light::connect(url).await?;
        let text = light::announce(session.stream);
        // It may be cut off before all is said.
        let _ = light::shout(&mut socket, &text, 500).await;
        let closed = light::until_closed(&mut socket);
        within(Duration::from_secs(10), "the tracker hangs up", closed).await??;

        let before = light.counts().bytes.friends;
        until(&light, "another viewer goes on", |counts| {
            counts.bytes.friends > before && counts.links > 0
        })
        .await?;

        let (base, token) = url.rsplit_once('/').context("a token")?;
        let another = Session::open(sandbox, "tracker", true).await?;
        let another = another.trackers.first().context("a tracker")?;
        // What another's token says, with this one's signature.
        let said = another
            .rsplit_once('/')
            .and_then(|(_, all)| all.rsplit_once('.'));
        let (said, (_, signature)) = said
            .map(|(said, _)| said)
            .zip(token.rsplit_once('.'))
            .context("a signature")?;
        let spliced = format!("{base}/{said}.{signature}");
        for wrong in [
            format!("{base}/x{token}"),
            format!("{base}/nothing"),
            spliced,
        ] {
            let refused = light::connect(&wrong).await;
            let text = format!("{:?}", refused.err().context("a wrong token is taken")?);
            ensure!(text.contains("401"), "{text}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_page_goes_by_nobody_elses_name() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "names").await?;
        let announced = async |name: &[u8; 20]| -> Result<Socket> {
            let session = Session::open(sandbox, "names", true).await?;
            let url = session.trackers.first().context("a tracker")?;
            let mut socket = light::connect(url).await?;
            let text = light::announce_as(session.stream, *name);
            light::shout(&mut socket, &text, 1).await?;
            Ok(socket)
        };
        let closed = async |socket: &mut Socket, what: &str| {
            within(Duration::from_secs(10), what, light::until_closed(socket)).await?
        };
        let name = b"-PM0203-anotherspage";
        let mut first = announced(name).await?;
        sleep(Duration::from_secs(1)).await;
        closed(&mut announced(name).await?, "who takes a page's name").await?;
        let nodes = b"-FN0001-somefriends0";
        closed(&mut announced(nodes).await?, "who takes a node's name").await?;
        ensure!(
            closed(&mut first, "its owner stays").await.is_err(),
            "the one whose name it is was cut off"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_that_says_too_much_is_cut_off() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "noise").await?;
        let honest = rogue(sandbox, "noise", Fault::Honest).await?;
        let light = Light::watch(sandbox, "noise").await?;
        until(&light, "it is carried", |counts| counts.bytes.friends > 0).await?;

        let link = invite(&sandbox.owner().await?, "noise", "Noisy").await?;
        let key = Key::new();
        let node = enrol(&link, &key, "Noisy").await??;
        let mut line = Line::open(honest.origin.as_str(), &key, node, RunId::new()).await?;
        // Answers to questions that nobody asked it.
        let flood = async {
            for number in 0..20_000 {
                let answer = Description {
                    r#ref: number,
                    sdp: String::new(),
                };
                if line.say(Up::Description(answer)).await.is_err() {
                    break;
                }
            }
            loop {
                if let Err(status) = line.hear().await {
                    return status.code();
                }
            }
        };
        let code = within(Duration::from_secs(30), "it is cut off", flood).await?;
        ensure!(code == Code::ResourceExhausted, "{code}");
        let before = light.counts().bytes.friends;
        until(&light, "another's viewer goes on", |counts| {
            counts.bytes.friends > before + 500_000 && counts.links > 0
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_that_is_removed_while_it_is_away_is_refused_as_well() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "away").await?;
        let owner = sandbox.owner().await?;
        // It is cut off for what it says, and pulls on.
        let away = rogue(sandbox, "away", Fault::Forge).await?;
        let light = Light::watch(sandbox, "away").await?;
        eventually(CARRIED, "its line is cut", || async {
            let seen = away.seen();
            ensure!(
                seen.ended.is_some() && seen.edge_status == Some(200),
                "{seen:?}"
            );
            Ok(Some(()))
        })
        .await?;
        // By now the coordinator has given it up.
        sleep(Duration::from_secs(5)).await;
        ensure!(away.seen().edge_status == Some(200), "{:?}", away.seen());
        let path = format!("/streams/away/friends/{}", away.node);
        owner.delete(&path).await?;
        eventually(REVOKED, "edges refuse it", || async {
            let seen = away.seen();
            ensure!(seen.edge_status == Some(403), "{seen:?}");
            Ok(Some(()))
        })
        .await?;

        // When it is back, it is told, and is given nothing.
        let origin = away.origin.as_str();
        let mut line = Line::open(origin, &away.key, away.node, RunId::new()).await?;
        let told = async {
            loop {
                match line.hear().await {
                    Ok(Down::Revoked(revoked)) => return Ok(revoked.stream_id),
                    Ok(Down::Work(work)) => ensure!(work.streams.is_empty(), "{work:?}"),
                    Ok(_) => {}
                    Err(status) => return Err(status.into()),
                }
            }
        };
        let stream = within(Duration::from_secs(10), "it is told", told).await??;
        ensure!(stream == light.session.stream.to_string());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_is_who_has_its_key_and_only_once() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "identity").await?;
        let link = invite(&sandbox.owner().await?, "identity", "A friend").await?;
        let first = Rogue::join(&link, "A friend", Fault::Honest).await?;

        let refused = enrol(&link, &Key::new(), "Another").await?;
        let status = refused.err().context("an invite is taken twice")?;
        ensure!(status.code() == Code::NotFound, "an invite twice: {status}");

        let origin = first.origin.as_str();
        let refused = async |key: &Key, node: NodeId| -> Result<Code> {
            let line = Line::open(origin, key, node, RunId::new()).await;
            Ok(line.err().context("a stranger is let in")?.code())
        };
        let stranger = refused(&Key::new(), first.node).await?;
        ensure!(
            stranger == Code::Unauthenticated,
            "another's key: {stranger}"
        );
        let unknown = refused(&first.key, NodeId::new()).await?;
        ensure!(unknown == Code::Unauthenticated, "another's id: {unknown}");
        let copy = refused(&first.key, first.node).await?;
        ensure!(
            copy == Code::AlreadyExists,
            "a copy of the identity: {copy}"
        );

        // What opened a connection once opens no other, not even where the first is over.
        let link = invite(&sandbox.owner().await?, "identity", "Heard").await?;
        let key = Key::new();
        let heard = enrol(&link, &key, "Heard").await??;
        let line = Line::open(origin, &key, heard, RunId::new()).await?;
        let hello = line.hello.clone();
        drop(line);
        let replayed = Line::replay(origin, hello).await.err();
        let code = replayed.context("what was heard is let in")?.code();
        ensure!(code == Code::Unauthenticated, "a replayed hello: {code}");

        let light = Light::watch(sandbox, "identity").await?;
        until(&light, "the first goes on", |counts| {
            counts.by_node.contains_key(&first.node)
        })
        .await?;
        ensure!(first.seen().ended.is_none(), "{:?}", first.seen());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_that_is_revoked_is_let_go_of_at_once() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let _publication = playable(sandbox, "revoked").await?;
        let owner = sandbox.owner().await?;
        let revoked = rogue(sandbox, "revoked", Fault::Honest).await?;
        let light = Light::watch(sandbox, "revoked").await?;
        until(&light, "it is carried", |counts| {
            counts.by_node.contains_key(&revoked.node)
        })
        .await?;
        ensure!(
            revoked.seen().edge_status == Some(200),
            "{:?}",
            revoked.seen()
        );

        let path = format!("/streams/revoked/friends/{}", revoked.node);
        let removed = owner.ask(Method::DELETE, &path, None).await?;
        ensure!(removed.status == 204, "{}", removed.text());
        eventually(REVOKED, "it is told, and the edge refuses it", || async {
            let seen = revoked.seen();
            ensure!(seen.revoked && seen.edge_status == Some(403), "{seen:?}");
            Ok(Some(()))
        })
        .await?;
        until(&light, "its viewer lets go of it", |counts| {
            counts.links == 0
        })
        .await?;

        let (asked, before) = (revoked.seen().asked, light.counts());
        let newcomer = Light::watch(sandbox, "revoked").await?;
        until(&newcomer, "a newcomer plays", |counts| {
            counts.played.len() > 3
        })
        .await?;
        ensure!(revoked.seen().asked == asked, "it is given viewers still");
        let bytes = |counts: &LightCounts| counts.by_node.get(&revoked.node).copied().unwrap_or(0);
        ensure!(bytes(&light.counts()) == bytes(&before), "it carries still");
        ensure!(bytes(&newcomer.counts()) == 0);
        let listed: Value = owner.get("/streams/revoked/friends").await?;
        let items = listed["items"].as_array().context("items")?;
        ensure!(items.is_empty(), "{listed}");
        Ok(())
    })
    .await
}
