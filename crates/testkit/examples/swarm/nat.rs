//! Which NATs let a node and a viewer meet, and that nobody notices where they can't.

use std::time::Duration;

use anyhow::Result;
use testkit::friends::{PageCounts, Watchers};
use tokio::time::{Instant, sleep};

use crate::{
    Options,
    crowd::{Counts, Crowd},
    report::Report,
    stage::{SLUG, Stage},
    world::{Access, Home, Nat, World},
};

/// A connection that is not made by then won't be: the first try is given up after fifteen seconds.
const MEETING: Duration = Duration::from_secs(30);
/// Longer than routers keep what is silent, and than STUN is asked.
const KEPT: Duration = Duration::from_secs(20);
const NODES: [Nat; 4] = [Nat::Public, Nat::Open, Nat::Keeping, Nat::Random];
const VIEWERS: [Nat; 3] = [Nat::Public, Nat::Keeping, Nat::Random];

/// Whether two can meet without a relay between them: one must be open to all, or neither change ports.
fn can_meet(node: Nat, viewer: Nat) -> bool {
    let open = |nat| matches!(nat, Nat::Public | Nat::Open);
    open(node) || open(viewer) || (node == Nat::Keeping && viewer == Nat::Keeping)
}

/// Measures, and adds its figures.
pub(crate) async fn measure(
    world: &mut World,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    report.part("nat: one node, and viewers outside; no TURN, so some can't meet");
    let stage = Stage::start(world, options.kbits.min(1000)).await?;
    let tried = try_all(world, &stage, report).await;
    if tried.is_err() {
        stage.sandbox.print_logs().await;
    }
    tried
}

async fn try_all(world: &mut World, stage: &Stage, report: &mut Report) -> Result<()> {
    // Or they would get everything from one another.
    stage.pair_viewers(false).await?;
    let page = world.home(Nat::Keeping, Access::default())?;
    let mut viewers = Vec::new();
    for nat in VIEWERS {
        viewers.push((nat, world.home(nat, Access::default())?));
    }
    for nat in NODES {
        let home = world.home(nat, Access::default())?;
        let mut node = stage.friend(&home, nat.name()).await?;
        report.note(&format!(" node: {}", nat.name()));
        meet(stage, nat, &page, &viewers, report).await?;
        node.process().kill()?;
    }
    stage.check().await
}

async fn meet(
    stage: &Stage,
    node: Nat,
    page: &Home,
    viewers: &[(Nat, Home)],
    report: &mut Report,
) -> Result<()> {
    let (base, mut crowds) = (stage.sandbox.pages(), Vec::new());
    for (nat, home) in viewers {
        let crowd = Crowd::start(nat.name(), home, &base, SLUG, 1, false)?;
        crowds.push((*nat, crowd, None));
    }
    let mut watchers = Watchers::start_with(&page.limits())?;
    watchers
        .open(&stage.sandbox.watch_page(SLUG), 1, "friends")
        .await?;
    let began = Instant::now();
    let mut page_met = None;
    while began.elapsed() < MEETING {
        sleep(Duration::from_millis(500)).await;
        for (_, crowd, met) in &mut crowds {
            let counts = crowd.read().await?;
            if met.is_none() && counts.iter().any(|one| one.friends > 0) {
                *met = Some(began.elapsed());
            }
        }
        if page_met.is_none() && watchers.carried().await?.friends > 0 {
            page_met = Some(began.elapsed());
        }
        if page_met.is_some() && crowds.iter().all(|(_, _, met)| met.is_some()) {
            break;
        }
    }
    // Who met stays together.
    let mut before = Vec::new();
    for (_, crowd, _) in &mut crowds {
        before.extend(crowd.read().await?);
    }
    let page_before = watchers.carried().await?;
    watchers.forget().await?;
    sleep(KEPT).await;
    for ((nat, crowd, met), before) in crowds.iter_mut().zip(&before) {
        let after = crowd.read().await?;
        let after = after.into_iter().next().unwrap_or_default();
        let later = after.carried().since(before.carried()).share();
        let shown = outcome(*met, later, after.stalled_ms);
        judged(
            report,
            nat.name(),
            &shown,
            can_meet(node, *nat),
            met.is_some(),
            &after,
        );
    }
    let share = watchers.carried().await?.since(page_before).share();
    let frozen = watchers.read().await?;
    let frozen = frozen
        .iter()
        .map(|page: &PageCounts| page.longest_freeze_ms)
        .max();
    let shown = outcome(page_met, share, frozen.unwrap_or(0));
    let name = "Chromium, NAT that keeps ports";
    let fine = Counts::default();
    judged(
        report,
        name,
        &shown,
        can_meet(node, Nat::Keeping),
        page_met.is_some(),
        &fine,
    );
    watchers.close().await?;
    for (_, crowd, _) in crowds {
        crowd.leave().await?;
    }
    Ok(())
}

fn outcome(met: Option<Duration>, later: f64, frozen_ms: u64) -> String {
    let met = met.map_or_else(
        || "edge only".to_owned(),
        |met| format!("met after {:.1} s", met.as_secs_f64()),
    );
    format!(
        "{met}, then {:.0} % by it, {frozen_ms} ms still",
        later * 100.0
    )
}

fn judged(report: &mut Report, viewer: &str, shown: &str, can: bool, met: bool, counts: &Counts) {
    let aim = if can { "they meet" } else { "the edge serves" };
    let name = format!("viewer: {viewer}");
    report.aimed(&name, shown, aim, can == met && counts.stalls == 0);
}
