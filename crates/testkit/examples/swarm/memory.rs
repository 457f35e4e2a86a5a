//! What a node needs to serve many: 50 viewers of a 4 Mbit/s stream, all by itself.

use std::time::Duration;

use anyhow::Result;
use testkit::friends::Carried;
use tokio::time::sleep;

use crate::{
    crowd::{Counts, Crowd},
    report::{Report, spread},
    stage::{SLUG, Stage},
    world::{Access, Nat, World},
};

const VIEWERS: usize = 50;
const KBITS: u32 = 4000;
/// All have come, and are connected.
const SETTLING: Duration = Duration::from_secs(40);
/// With [`VIEWERS`] of [`KBITS`] (issue: a node's memory).
const MOST_MIB: f64 = 64.0;

/// Measures, and adds its figures.
pub(crate) async fn measure(world: &mut World, seconds: u64, report: &mut Report) -> Result<()> {
    report.part(&format!(
        "memory: one node, {VIEWERS} light viewers, {KBITS} kbit/s of video"
    ));
    let stage = Stage::start(world, KBITS).await?;
    stage.pair_viewers(false).await?;
    let home = world.home(Nat::Public, Access::default())?;
    let mut node = stage.friend(&home, "Server").await?;
    let place = world.home(Nat::Public, Access::default())?;
    let base = stage.sandbox.pages();
    let mut crowd = Crowd::start("viewers", &place, &base, SLUG, VIEWERS, false)?;
    sleep(SETTLING).await;
    let sum = |counts: &[Counts]| counts.iter().map(Counts::carried).sum::<Carried>();
    let before = sum(&crowd.read().await?);
    let (cpu, sent) = (node.process().cpu()?, node.status().await?.total_bytes);
    sleep(Duration::from_secs(seconds)).await;
    let counts = crowd.read().await?;
    let steady = sum(&counts).since(before);
    let cpu = node.process().cpu()?.saturating_sub(cpu).as_secs_f64();
    let status = node.status().await?;
    let mbit = (status.total_bytes - sent) as f64 * 8.0 / 1e6;
    report.figure("viewers of the node", &status.viewers.to_string());
    report.figure(
        "share of the node",
        &format!("{:.1} %", steady.share() * 100.0),
    );
    report.figure(
        "what it sent",
        &format!(
            "{:.0} Mbit/s, {cpu:.1} s of CPU, {:.2} s per Gbit",
            mbit / seconds as f64,
            cpu / (mbit / 1000.0).max(f64::EPSILON)
        ),
    );
    let mut stalled: Vec<f64> = counts.iter().map(|one| one.stalled_ms as f64).collect();
    report.figure("viewers stood still", &spread(&mut stalled, "ms"));
    let resident = node.process().resident_kib()? as f64 / 1024.0;
    let peak = node.process().peak_kib()? as f64 / 1024.0;
    let value = format!("{resident:.1} MiB, {peak:.1} MiB at most");
    report.aimed(
        "memory of the node",
        &value,
        "under 64 MiB",
        peak < MOST_MIB,
    );
    crowd.leave().await?;
    stage.check().await
}
