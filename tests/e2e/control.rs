//! What owners and admins do while everything runs: end, archive, ban, switch.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::{End, Fixture, Sandbox, Source, eventually, http, open_publisher};

use crate::support::{PLAYABLE, SOON, live, scenario, shared};

#[tokio::test]
async fn an_ended_stream_ends_at_once_and_may_start_again() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let fixture = Fixture::plain().await?;
        let (stream, mut publication) = live(sandbox, "ended", &fixture).await?;
        testkit::hls::Viewer::open(&sandbox.hls("ended")).await?;
        let ended = owner
            .post("/streams/ended/state", &json!({ "state": "offline" }))
            .await?;
        ensure!(ended["state"] == "offline", "{ended}");
        ensure!(
            publication.end(SOON).await? != End::AsTold,
            "it left by itself"
        );
        let (_, why) = open_publisher(sandbox.rtmp(), &stream.key)
            .await?
            .rejection()?;
        ensure!(why.contains("ended"), "{why}");
        let refused = owner
            .ask(
                Method::POST,
                "/streams/ended/state",
                Some(&json!({ "state": "offline" })),
            )
            .await?;
        ensure!(
            refused.status == StatusCode::CONFLICT
                && refused.text().contains("allowed: live, testing, archived"),
            "{}",
            refused.text()
        );
        // Ten seconds, and it goes on.
        let again = eventually(Duration::from_secs(30), "it starts again", || async {
            Source::new(&fixture)
                .publish(sandbox.rtmp(), &stream.key)
                .await
                .map(Some)
        })
        .await?;
        sandbox
            .view_until("ended", SOON, |view| view.state == "live")
            .await?;
        drop(again);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_archived_stream_is_put_away() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let (stream, publication) = live(sandbox, "archived", &Fixture::plain().await?).await?;
        let refused = owner.ask(Method::DELETE, "/streams/archived", None).await?;
        ensure!(
            refused.status == StatusCode::CONFLICT && refused.text().contains("end it first"),
            "{}",
            refused.text()
        );
        owner
            .post("/streams/archived/state", &json!({ "state": "offline" }))
            .await?;
        drop(publication);
        let archived = owner
            .post("/streams/archived/state", &json!({ "state": "archived" }))
            .await?;
        ensure!(archived["state"] == "archived");
        let (_, why) = open_publisher(sandbox.rtmp(), &stream.key)
            .await?
            .rejection()?;
        ensure!(why.contains("archived"), "{why}");
        let refused = owner
            .ask(
                Method::POST,
                "/streams/archived/state",
                Some(&json!({ "state": "live" })),
            )
            .await?;
        ensure!(
            refused.status == StatusCode::CONFLICT && refused.text().contains("allowed: nothing"),
            "{}",
            refused.text()
        );
        owner.delete("/streams/archived").await?;
        ensure!(
            owner
                .ask(Method::GET, "/streams/archived", None)
                .await?
                .status
                == StatusCode::NOT_FOUND
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ban_cuts_the_publisher_off_and_keeps_it_out() -> Result<()> {
    let sandbox = Sandbox::distributed()
        .set("ACCOUNTS__REGISTRATION", "open")
        .start()
        .await?;
    scenario(&sandbox, async {
        let (owner, ben) = (sandbox.owner().await?, sandbox.register("ben").await?);
        let stream = ben.stream("bens", "public").await?;
        let fixture = Fixture::plain().await?;
        let mut publication = Source::new(&fixture)
            .publish(sandbox.rtmp(), &stream.key)
            .await?;
        sandbox
            .view_until("bens", SOON, |view| view.state == "live")
            .await?;
        let banned = owner
            .patch(
                &format!("/admin/users/{}", ben.id),
                &json!({ "banned": true }),
            )
            .await?;
        ensure!(banned["banned_at"].is_string(), "{banned}");
        ensure!(publication.end(SOON).await? != End::AsTold);
        tokio::time::sleep(Duration::from_secs(11)).await;
        let (_, why) = open_publisher(sandbox.rtmp(), &stream.key)
            .await?
            .rejection()?;
        ensure!(why.contains("banned"), "{why}");
        ensure!(ben.ask(Method::GET, "/me", None).await?.status == StatusCode::UNAUTHORIZED);
        let own = owner
            .ask(
                Method::PATCH,
                &format!("/admin/users/{}", owner.id),
                Some(&json!({ "role": "friend" })),
            )
            .await?;
        ensure!(own.status == StatusCode::CONFLICT, "{}", own.text());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn flags_are_seen_by_every_service_within_a_second() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario(&sandbox, async {
        let owner = sandbox.owner().await?;
        let fixture = Fixture::plain().await?;
        let (_, _publication) = live(&sandbox, "flagged", &fixture).await?;
        testkit::hls::Viewer::open(&sandbox.hls("flagged")).await?;
        let client = http::client()?;
        let flv = format!("http://{}/live/flagged.flv", sandbox.playback_address());
        let switch = async |flag: &str, enabled: bool| {
            owner
                .put(
                    &format!("/admin/flags/{flag}"),
                    &json!({ "enabled": enabled }),
                )
                .await
        };
        // A second is promised; three times that is waited.
        let second = Duration::from_secs(3);
        switch("http_flv", false).await?;
        eventually(second, "the edge", || async {
            Ok((http::request(&client, Method::HEAD, &flv, &[])
                .await?
                .status
                == StatusCode::FORBIDDEN)
                .then_some(()))
        })
        .await?;
        switch("rtmp_play", false).await?;
        eventually(second, "the ingest", || async {
            Ok(testkit::RtmpPlayer::play(sandbox.rtmp(), "flagged")
                .await
                .is_err()
                .then_some(()))
        })
        .await?;
        switch("publishing", false).await?;
        let other = sandbox.add_stream("another").await?;
        let (_, why) = open_publisher(sandbox.rtmp(), &other.key)
            .await?
            .rejection()?;
        ensure!(why.contains("paused"), "{why}");
        for flag in ["http_flv", "rtmp_play", "publishing"] {
            let on = switch(flag, true).await?;
            ensure!(
                on["enabled"] == true && on["updated_by"]["name"].is_string(),
                "{on}"
            );
        }
        eventually(PLAYABLE, "FLV plays again", || async {
            Ok((http::request(&client, Method::HEAD, &flv, &[])
                .await?
                .status
                == StatusCode::OK)
                .then_some(()))
        })
        .await?;
        let audit = owner.get("/admin/audit?action=flag.changed").await?;
        ensure!(
            audit["items"]
                .as_array()
                .is_some_and(|items| items.len() == 6),
            "{audit}"
        );
        let unknown = owner
            .ask(
                Method::PUT,
                "/admin/flags/flying",
                Some(&json!({ "enabled": true })),
            )
            .await?;
        ensure!(unknown.status == StatusCode::NOT_FOUND);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_audit_log_is_exported_whole() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        owner.stream("audited", "public").await?;
        owner.post("/streams/audited/key", &json!({})).await?;
        let export = owner.ask(Method::GET, "/admin/audit/export", None).await?;
        ensure!(export.header("content-type") == "application/x-ndjson");
        let text = export.text();
        let mut last = String::new();
        for line in text.lines() {
            let entry: serde_json::Value = serde_json::from_str(line)?;
            let id = entry["id"].as_str().context("no id")?.to_owned();
            ensure!(last < id, "out of order");
            last = id;
        }
        ensure!(
            text.contains("key.changed") && text.contains("login.succeeded"),
            "{text}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_operator_stops_a_stream() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let (_, mut publication) = live(&sandbox, "stopped", &Fixture::plain().await?).await?;
        let done = sandbox.streamr(&["admin", "stop", "stopped"]).await?;
        ensure!(done.status.success(), "{done:?}");
        ensure!(publication.end(SOON).await? != End::AsTold);
        sandbox
            .view_until("stopped", SOON, |view| view.state == "offline")
            .await?;
        Ok(())
    })
    .await
}
