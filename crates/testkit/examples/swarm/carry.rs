//! Who carries how much of a stream, and whether its viewers notice: edge only first, then with friends.

use std::time::Duration;

use anyhow::{Context, Result};
use testkit::friends::{Carried, FriendNode, PageCounts, Watchers};
use tokio::time::sleep;

use crate::{
    Options,
    crowd::{Counts, Crowd},
    machine,
    report::{Report, progress, spread},
    stage::{SLUG, Stage},
    world::{Access, Home, Nat, World},
};

/// Viewers come, connections are made; links that can't be are given up after fifteen seconds.
const SETTLING: Duration = Duration::from_secs(45);
/// Light viewers come, and have their links, before pages do: how fast a page starts says nothing where everybody
/// comes at once on two cores.
const CROWDED: Duration = Duration::from_secs(25);
/// Pages whose start is timed in a phase, one by one.
const STARTS: usize = 9;
/// A page may start so much later with friends than without, stall so much more: noise of a busy machine apart.
const NO_WORSE: f64 = 1.05;
/// Less than this nobody sees.
const UNSEEN_MS: f64 = 250.0;

/// Where viewers are, and how they get there.
struct Place {
    name: &'static str,
    home: Home,
    count: usize,
}

/// How viewers watch.
#[derive(Clone, Copy)]
struct Phase {
    name: &'static str,
    /// What pages chose.
    delay: &'static str,
    friends: bool,
}

/// What was seen in a phase.
#[derive(Default)]
struct Seen {
    starts: Vec<Option<Duration>>,
    pages: Vec<PageCounts>,
    pages_steady: Carried,
    lights: Vec<(&'static str, Vec<Counts>)>,
    lights_steady: Carried,
    steady: Vec<(&'static str, Carried)>,
    nodes_cpu: Duration,
    nodes_sent: u64,
}

impl Seen {
    fn all_lights(&self) -> impl Iterator<Item = &Counts> {
        self.lights.iter().flat_map(|(_, lights)| lights)
    }

    fn startup(&self) -> (Vec<f64>, Vec<f64>) {
        let pages = self.starts.iter().flatten();
        let lights = self.all_lights().filter_map(|light| light.startup_ms);
        (
            pages.map(Duration::as_secs_f64).collect(),
            lights.map(|ms| ms as f64 / 1000.0).collect(),
        )
    }

    fn behind(&self) -> (Vec<f64>, Vec<f64>) {
        let pages = self.pages.iter().filter_map(|page| page.latency);
        let lights = self.all_lights().filter_map(|light| light.behind_ms);
        (
            pages.collect(),
            lights.map(|ms| ms as f64 / 1000.0).collect(),
        )
    }

    /// The longest freeze of each page, and how long each light viewer stood still, in milliseconds.
    fn stalls(&self) -> (Vec<f64>, Vec<f64>) {
        let pages = self.pages.iter().map(|page| page.longest_freeze_ms as f64);
        let lights = self.all_lights().map(|light| light.stalled_ms as f64);
        (pages.collect(), lights.collect())
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Measures, and adds its figures.
pub(crate) async fn measure(
    world: &mut World,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    report.part(&format!(
        "carry: {} viewers ({} pages), {} nodes, {} kbit/s",
        options.viewers, options.pages, options.nodes, options.kbits
    ));
    let stage = Stage::start(world, options.kbits).await?;
    let pages = world.home(Nat::Keeping, Access::default())?;
    let places = places(world, options)?;
    let nodes = homes(world, options.nodes)?;
    let phase = |name, delay, friends| Phase {
        name,
        delay,
        friends,
    };
    stage.pair_viewers(false).await?;
    let quick = phase("edge only, low latency", "low_latency", false);
    let quick = watch(&stage, &pages, &places, quick, &mut [], options).await?;
    let alone = phase("edge only, friends.m3u8", "friends", false);
    let alone = watch(&stage, &pages, &places, alone, &mut [], options).await?;
    stage.pair_viewers(true).await?;
    let mut friends = Vec::new();
    for (number, (name, home)) in nodes.iter().enumerate() {
        report.note(&format!("  friend {number}: {name}, 40 Mbit/s up"));
        friends.push(stage.friend(home, &format!("Friend {number}")).await?);
    }
    let carried = phase("with friends", "friends", true);
    let carried = watch(&stage, &pages, &places, carried, &mut friends, options).await?;
    stage.check().await?;
    for (name, seen) in [
        ("edge only, low latency", &quick),
        ("edge only, friends.m3u8", &alone),
        ("with friends", &carried),
    ] {
        show(name, seen, report);
    }
    judge(&alone, &carried, report);
    cost(&stage, &carried, &mut friends, report).await
}

/// Homes of light viewers: most as usual, some with loss, some with a slow line, a few behind random ports.
fn places(world: &mut World, options: &Options) -> Result<Vec<Place>> {
    let lights = options.viewers.saturating_sub(options.pages);
    let (lossy, slow, random) = (lights / 4, lights / 5, lights / 9);
    let slow_line = Access {
        up: Some(10),
        down: Some(40),
        loss: 0,
    };
    let lossy_line = Access {
        loss: 15,
        ..Access::default()
    };
    let of = [
        (
            "NAT that keeps ports",
            Nat::Keeping,
            Access::default(),
            lights - lossy - slow - random,
        ),
        ("1.5 % loss each way", Nat::Keeping, lossy_line, lossy),
        ("40 Mbit/s down, 10 up", Nat::Keeping, slow_line, slow),
        (
            "NAT with random ports",
            Nat::Random,
            Access::default(),
            random,
        ),
    ];
    let of = of.into_iter().filter(|(_, _, _, count)| *count > 0);
    of.map(|(name, nat, access, count)| {
        let home = world.home(nat, access)?;
        Ok(Place { name, home, count })
    })
    .collect()
}

/// Homes of nodes. One of five lets everybody in, one of five is of no use but to who is public.
fn homes(world: &mut World, count: usize) -> Result<Vec<(&'static str, Home)>> {
    let access = Access {
        up: Some(40),
        ..Access::default()
    };
    (0..count)
        .map(|number| {
            let nat = match number % 5 {
                3 => Nat::Open,
                4 => Nat::Random,
                _ => Nat::Keeping,
            };
            Ok((nat.name(), world.home(nat, access)?))
        })
        .collect()
}

async fn sent(nodes: &[FriendNode]) -> Result<u64> {
    let mut bytes = 0;
    for node in nodes {
        bytes += node.status().await?.total_bytes;
    }
    Ok(bytes)
}

fn cpu(nodes: &mut [FriendNode]) -> Result<Duration> {
    let each = nodes.iter_mut().map(|node| node.process().cpu());
    each.sum()
}

/// All watch for a while.
async fn watch(
    stage: &Stage,
    pages: &Home,
    places: &[Place],
    phase: Phase,
    nodes: &mut [FriendNode],
    options: &Options,
) -> Result<Seen> {
    progress(&format!("  {}: load {}", phase.name, machine::load()));
    let (base, mut crowds) = (stage.sandbox.pages(), Vec::new());
    for place in places {
        let alone = !phase.friends;
        let crowd = Crowd::start(place.name, &place.home, &base, SLUG, place.count, alone)?;
        crowds.push((place.name, crowd));
    }
    let mut watchers = Watchers::start_with(&pages.limits())?;
    let url = stage.sandbox.watch_page(SLUG);
    sleep(CROWDED).await;
    let starts = watchers
        .come(
            &url,
            (STARTS.max(options.pages), options.pages),
            phase.delay,
        )
        .await?;
    sleep(SETTLING).await;
    watchers.forget().await?;
    let (cpu_before, sent_before) = (cpu(nodes)?, sent(nodes).await?);
    let pages_before = watchers.carried().await?;
    let mut before = Vec::new();
    for (_, crowd) in &mut crowds {
        before.push(crowd.read().await?);
    }
    sleep(Duration::from_secs(options.seconds)).await;
    let mut seen = Seen {
        starts,
        nodes_cpu: cpu(nodes)?.saturating_sub(cpu_before),
        nodes_sent: sent(nodes).await?.saturating_sub(sent_before),
        pages: watchers.read().await?,
        ..Seen::default()
    };
    for ((name, crowd), before) in crowds.iter_mut().zip(before) {
        let after = crowd.read().await?;
        let sum = |counts: &[Counts]| counts.iter().map(Counts::carried).sum::<Carried>();
        let steady = sum(&after).since(sum(&before));
        seen.steady.push((name, steady));
        seen.lights.push((name, after));
    }
    seen.pages_steady = watchers.carried().await?.since(pages_before);
    seen.lights_steady = seen.steady.iter().map(|(_, carried)| *carried).sum();
    watchers.close().await?;
    for (_, crowd) in crowds {
        crowd.leave().await?;
    }
    Ok(seen)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn by_whom(carried: Carried) -> String {
    let of = |bytes: u64| bytes as f64 / carried.total().max(1) as f64;
    format!(
        "friends {}, peers {}, edge {}",
        percent(of(carried.friends)),
        percent(of(carried.peers)),
        percent(of(carried.edge))
    )
}

fn show(name: &str, seen: &Seen, report: &mut Report) {
    report.note(&format!(" {name}"));
    let pages: Carried = seen.pages.iter().map(PageCounts::carried).sum();
    let lights: Carried = seen.all_lights().map(Counts::carried).sum();
    if pages.total() > 0 {
        report.figure("pages, since they came", &by_whom(pages));
        report.figure("pages, settled", &by_whom(seen.pages_steady));
    }
    report.figure("light viewers, since they came", &by_whom(lights));
    report.figure("light viewers, settled", &by_whom(seen.lights_steady));
    for (place, carried) in &seen.steady {
        report.figure(&format!("  {place}"), &by_whom(*carried));
    }
    let (mut pages, mut lights) = seen.startup();
    let late = seen.starts.iter().filter(|start| start.is_none()).count();
    if late > 0 {
        report.figure("pages that never started", &late.to_string());
    }
    report.figure("pages, start-up", &spread(&mut pages, "s"));
    report.figure("light viewers, first segment", &spread(&mut lights, "s"));
    let (mut pages, mut lights) = seen.behind();
    report.figure("pages, behind live", &spread(&mut pages, "s"));
    report.figure("light viewers, behind live", &spread(&mut lights, "s"));
    let (mut pages, mut lights) = seen.stalls();
    report.figure("pages, longest freeze", &spread(&mut pages, "ms"));
    report.figure("light viewers, stood still", &spread(&mut lights, "ms"));
    for page in &seen.pages {
        for error in page.errors.iter().take(2) {
            report.figure("pages, error", error);
        }
    }
    if let Some(light) = seen.all_lights().find(|light| !light.trouble.is_empty()) {
        report.figure("light viewers, trouble", &light.trouble);
    }
}

/// Friends against edge only, in the same run.
fn judge(alone: &Seen, carried: &Seen, report: &mut Report) {
    report.note(" friends against edge only");
    let all = carried.pages_steady.friends + carried.pages_steady.peers;
    let all = all + carried.lights_steady.friends + carried.lights_steady.peers;
    let total = carried.pages_steady.total() + carried.lights_steady.total();
    let share = all as f64 / total.max(1) as f64;
    let met = share >= 0.8;
    report.aimed("share of friends and peers", &percent(share), "80 %", met);
    let mut compare = |what: &str, unit: &str, alone: &[f64], with: &[f64], unseen: f64| {
        let (alone, with) = (mean(alone), mean(with));
        let met = with <= alone * NO_WORSE || with - alone <= unseen;
        let value = format!("{with:.2} {unit} for {alone:.2} {unit}");
        report.aimed(what, &value, "+5 % at most", met);
    };
    let ((pages_alone, lights_alone), (pages, lights)) = (alone.startup(), carried.startup());
    let unseen = UNSEEN_MS / 1000.0;
    compare("start-up of pages", "s", &pages_alone, &pages, unseen);
    compare(
        "start-up of light viewers",
        "s",
        &lights_alone,
        &lights,
        unseen,
    );
    let ((pages_alone, lights_alone), (pages, lights)) = (alone.behind(), carried.behind());
    compare("delay of pages", "s", &pages_alone, &pages, unseen);
    compare(
        "delay of light viewers",
        "s",
        &lights_alone,
        &lights,
        unseen,
    );
    let ((pages_alone, lights_alone), (pages, lights)) = (alone.stalls(), carried.stalls());
    compare("freezes of pages", "ms", &pages_alone, &pages, UNSEEN_MS);
    compare(
        "stalls of light viewers",
        "ms",
        &lights_alone,
        &lights,
        UNSEEN_MS,
    );
}

/// What carrying costs friends, and the server.
async fn cost(
    stage: &Stage,
    seen: &Seen,
    friends: &mut [FriendNode],
    report: &mut Report,
) -> Result<()> {
    report.note(" what it costs");
    let gbit = seen.nodes_sent as f64 * 8.0 / 1e9;
    report.figure(
        "CPU of nodes per Gbit (kernel's part of UDP in it)",
        &format!(
            "{:.2} s ({:.2} s for {gbit:.2} Gbit)",
            seen.nodes_cpu.as_secs_f64() / gbit.max(f64::EPSILON),
            seen.nodes_cpu.as_secs_f64()
        ),
    );
    let mut memory = Vec::new();
    for friend in friends {
        memory.push(friend.process().peak_kib()? as f64 / 1024.0);
    }
    report.figure("memory of a node at most", &spread(&mut memory, "MiB"));
    // What was told last is counted some seconds later.
    sleep(Duration::from_secs(15)).await;
    let told = stage
        .sandbox
        .owner()
        .await?
        .get(&format!("/streams/{SLUG}/delivery"))
        .await?;
    let bytes = |value: &serde_json::Value| value.as_u64().context("no bytes");
    let pulled = bytes(&told["node_bytes"])? as f64;
    let friends = bytes(&told["bytes"]["friends"])? + bytes(&told["bytes"]["peers"])?;
    report.figure(
        "the API, since it went live",
        &format!(
            "friends and peers {:.1} MB, edge {:.1} MB, nodes pulled {:.1} MB",
            friends as f64 / 1e6,
            bytes(&told["bytes"]["edge"])? as f64 / 1e6,
            pulled / 1e6
        ),
    );
    Ok(())
}
