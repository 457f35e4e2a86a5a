//! A server with one live stream, and friends who joined.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::{
    Account, Fixture, Sandbox, StreamView, eventually,
    ffmpeg::{self, Publisher},
    friends::{FriendNode, friends, invite},
    hls,
};

use crate::world::{Home, World};

/// The stream.
pub(crate) const SLUG: &str = "swarm";
/// Its window fills meanwhile: who joins finds something older than the newest.
const FIRST: Duration = Duration::from_secs(20);
/// Until a node has joined, and was measured.
const JOINED: Duration = Duration::from_secs(60);

/// The server, and who publishes.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    pub(crate) owner: Account,
    _publisher: Publisher,
}

impl Stage {
    /// Goes live with so many kbit/s of video.
    pub(crate) async fn start(world: &World, kbits: u32) -> Result<Self> {
        let fixture = Fixture::of_bitrate(kbits).await?;
        let sandbox = Sandbox::one_process()
            .at(world.server())
            .set("PACKAGER__MAX_CONNECTIONS_PER_ADDRESS", "10000")
            .set("COORDINATOR__MAX_CONNECTIONS_PER_ADDRESS", "10000")
            .start()
            .await?;
        let stream = sandbox.add_stream(SLUG).await?;
        let url = sandbox.rtmp_url(&stream.key);
        let publisher = Publisher::start(&ffmpeg::system(), &fixture.path, &url)?;
        let is_live = |view: &StreamView| view.state == "live";
        sandbox.view_until(SLUG, JOINED, is_live).await?;
        hls::Viewer::open(&sandbox.hls(SLUG)).await?;
        tokio::time::sleep(FIRST).await;
        let owner = sandbox.owner().await?;
        Ok(Self {
            sandbox,
            owner,
            _publisher: publisher,
        })
    }

    /// Whether viewers may be paired with viewers.
    pub(crate) async fn pair_viewers(&self, may: bool) -> Result<()> {
        let body = json!({ "friends_only": !may });
        self.owner.patch(&format!("/streams/{SLUG}"), &body).await?;
        Ok(())
    }

    /// A friend joins from a home, and is seen.
    pub(crate) async fn friend(&self, home: &Home, name: &str) -> Result<FriendNode> {
        let link = invite(&self.owner, SLUG, name).await?;
        let node = FriendNode::join_with(&link, name, &[], home.limits())?;
        let seen = eventually(JOINED, "a friend is online and measured", || async {
            let known = friends(&self.owner, SLUG).await?;
            let friend = known.iter().find(|friend| friend["name"] == name);
            let ready = friend.is_some_and(|friend| {
                friend["status"] == "online" && friend["measured_upload_bps"].as_u64().is_some()
            });
            Ok(ready.then_some(()))
        });
        seen.await.with_context(|| node.log())?;
        Ok(node)
    }

    /// Fails if the server ended.
    pub(crate) async fn check(&self) -> Result<()> {
        self.sandbox.all_run().await?;
        let view = self.sandbox.view(SLUG).await?;
        ensure!(view.state == "live", "the stream is {}", view.state);
        Ok(())
    }
}
