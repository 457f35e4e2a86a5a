//! Ten thousand who ask for what there isn't leave nothing behind.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use testkit::{Opening, RtmpPlayer, Sandbox, Turn, eventually, http, open_publisher};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::{PLAYABLE, scenario};

const STRANGERS: usize = 10_000;
/// At once. A wrong key is answered after a second, so there must be many.
const AT_ONCE: usize = 400;
/// What an allocator may keep of it.
const MEMORY_KIB: u64 = 32 * 1024;

/// A third publish, a third play by RTMP, a third by HTTP.
async fn stranger(sandbox: &Sandbox, client: &reqwest::Client, index: usize) -> Result<()> {
    let name = format!("nobody-ever-made-this-one-{index}");
    match index % 3 {
        0 => {
            let opening = open_publisher(sandbox.rtmp(), &name).await?;
            ensure!(!matches!(opening, Opening::Ready(_)), "{name} may publish");
        }
        1 => {
            let opening = RtmpPlayer::open(sandbox.rtmp(), &name).await?;
            ensure!(!matches!(opening, Opening::Ready(_)), "{name} plays");
        }
        _ => {
            let url = if index.is_multiple_of(2) {
                sandbox.hls(&name)
            } else {
                sandbox.flv(&name)
            };
            let status = http::get(client, &url).await?.status;
            ensure!(status == reqwest::StatusCode::NOT_FOUND, "{url}: {status}");
        }
    }
    Ok(())
}

async fn strangers(sandbox: &Arc<Sandbox>, range: std::ops::Range<usize>) -> Result<()> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let client = http::client()?;
    let mut asking = JoinSet::new();
    for index in range {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (sandbox, client) = (Arc::clone(sandbox), client.clone());
        asking.spawn(async move {
            let _permit = permit;
            stranger(&sandbox, &client, index).await
        });
        while let Some(outcome) = asking.try_join_next() {
            outcome??;
        }
    }
    while let Some(outcome) = asking.join_next().await {
        outcome??;
    }
    Ok(())
}

#[tokio::test]
async fn ten_thousand_unknown_names_leave_memory_and_descriptors_as_they_were() -> Result<()> {
    let sandbox = Arc::new(Sandbox::one_process().start().await?);
    let _turn = Turn::at_load().await?;
    scenario(&Arc::clone(&sandbox), async {
        // What is allocated once shall not count.
        strangers(&sandbox, 0..AT_ONCE * 2).await?;
        let usage = || async {
            sandbox
                .with("streamr", |process| {
                    Ok((process.resident_kib()?, process.descriptors()?))
                })
                .await
        };
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (memory, descriptors) = usage().await?;
        strangers(&sandbox, AT_ONCE * 2..STRANGERS + AT_ONCE * 2).await?;
        eventually(
            PLAYABLE,
            "memory and descriptors are as they were",
            || async {
                let (memory_now, descriptors_now) = usage().await?;
                ensure!(
                    descriptors_now <= descriptors + 8,
                    "descriptors went from {descriptors} to {descriptors_now}"
                );
                ensure!(
                    memory_now <= memory + MEMORY_KIB,
                    "memory went from {memory} to {memory_now} KiB"
                );
                Ok(Some(()))
            },
        )
        .await
    })
    .await
}
