//! Who may connect, and until when: trackers' tokens and floods, nodes' identities, and nodes that are revoked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;
use testkit::{
    eventually,
    friends::{
        Fault, Light, LightCounts, Rogue, invite,
        light::{self, Session},
        rogue::{Key, Line, enrol},
    },
    within,
};
use tonic::Code;
use types::{NodeId, RunId};

use super::{playable, rogue, until};
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
