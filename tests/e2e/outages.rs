//! The whole matrix on engines of its own: every service, PostgreSQL, Redis and RabbitMQ are killed and
//! stopped in turn under a live stream, and each engine is away for ten minutes. `cargo xtask distributed`
//! runs it; it takes most of an hour.

use std::{env, time::Duration};

use anyhow::{Result, ensure};
use testkit::{Engines, Fixture, Sandbox, Source, eventually, http, open_publisher};
use tokio::time::{Instant, sleep};

use crate::{
    flood::Flood,
    plugs::{GOES_ON, RESUMES, Show, ingest_of, origin_of},
    support::{SOON, say, scenario_of_the_dead},
};

/// How long what is stopped stands still.
const STOPPED: Duration = Duration::from_secs(10);
/// How long what is killed is away.
const AWAY: Duration = Duration::from_secs(5);
/// How long what was away may take until all is as before.
const RECOVERED: Duration = Duration::from_secs(60);

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Postgres,
    Redis,
    RabbitMq,
}

impl Engine {
    const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::RabbitMq];

    /// What a coordinator says it lacks.
    const fn need(self) -> &'static str {
        match self {
            Self::Postgres => "database",
            Self::Redis => "cache",
            Self::RabbitMq => "bus",
        }
    }

    async fn kill(self, engines: &Engines) -> Result<()> {
        let mut own = engines.own()?.lock().await;
        match self {
            Self::Postgres => own.postgres.kill(),
            Self::Redis => own.redis.kill(),
            Self::RabbitMq => own.rabbitmq.kill(),
        }
    }

    async fn restart(self, engines: &Engines) -> Result<()> {
        let mut own = engines.own()?.lock().await;
        match self {
            Self::Postgres => own.postgres.restart().await,
            Self::Redis => own.redis.restart().await,
            Self::RabbitMq => own.rabbitmq.restart().await,
        }
    }

    async fn signal(self, engines: &Engines, stopped: bool) -> Result<()> {
        let own = engines.own()?.lock().await;
        let signal = if stopped { "STOP" } else { "CONT" };
        match self {
            Self::Postgres => own.postgres.signal(signal),
            Self::Redis => own.redis.signal(signal),
            Self::RabbitMq if stopped => own.rabbitmq.stop(),
            Self::RabbitMq => own.rabbitmq.cont(),
        }
    }
}

/// Waits until every process is ready.
async fn all_ready(sandbox: &Sandbox) -> Result<()> {
    let client = http::client()?;
    eventually(RECOVERED, "everything is ready again", || async {
        for name in sandbox.names() {
            let answer =
                http::get(&client, &format!("{}/health/ready", sandbox.health(name))).await?;
            ensure!(answer.status.is_success(), "{name}: {}", answer.text());
        }
        Ok(Some(()))
    })
    .await
}

/// Waits until a coordinator says that it lacks `need`.
async fn says_why(sandbox: &Sandbox, need: &str) -> Result<()> {
    let client = http::client()?;
    eventually(SOON, "a coordinator says what it lacks", || async {
        let url = format!("{}/health/ready", sandbox.health("coordinator-1"));
        let answer = http::get(&client, &url).await?;
        ensure!(
            answer.status == 503 && answer.text().contains(need),
            "{}",
            answer.text()
        );
        Ok(Some(()))
    })
    .await
}

fn report(show: &Show, what: &str, since: Instant) {
    say(&format!("{what}: {}", show.tell(since)));
}

async fn killed(sandbox: &Sandbox, show: &Show, name: &'static str, limit: Duration) -> Result<()> {
    let began = Instant::now();
    sandbox.kill(name).await?;
    sleep(STOPPED).await;
    let what = format!("{name} killed");
    report(show, &what, began);
    show.stood_still_at_most(limit, began, &what)?;
    sandbox.launch(name).await?;
    all_ready(sandbox).await
}

async fn stopped(
    sandbox: &Sandbox,
    show: &Show,
    name: &'static str,
    limit: Duration,
) -> Result<()> {
    let began = Instant::now();
    sandbox.signal(name, "STOP").await?;
    sleep(STOPPED).await;
    sandbox.signal(name, "CONT").await?;
    sleep(AWAY).await;
    let what = format!("{name} stopped for 10 s");
    report(show, &what, began);
    show.stood_still_at_most(limit, began, &what)?;
    all_ready(sandbox).await
}

async fn engine(sandbox: &Sandbox, show: &Show, engine: Engine) -> Result<()> {
    let engines = sandbox.engines()?;
    let began = Instant::now();
    engine.kill(engines).await?;
    says_why(sandbox, engine.need()).await?;
    sleep(AWAY).await;
    engine.restart(engines).await?;
    all_ready(sandbox).await?;
    report(show, &format!("{engine:?} killed"), began);
    show.stood_still_at_most(GOES_ON, began, &format!("{engine:?} killed"))?;
    let began = Instant::now();
    engine.signal(engines, true).await?;
    sleep(STOPPED).await;
    engine.signal(engines, false).await?;
    all_ready(sandbox).await?;
    report(show, &format!("{engine:?} stopped for 10 s"), began);
    show.stood_still_at_most(GOES_ON, began, &format!("{engine:?} stopped"))
}

#[tokio::test]
#[ignore = "takes minutes; `cargo xtask distributed` runs it"]
async fn every_plug_is_pulled_in_turn() -> Result<()> {
    let sandbox = Sandbox::cluster().own_engines().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let flood = Flood::start(sandbox.engines()?.database_url()).await?;
        let show = Show::start(&sandbox, "matrix").await?;
        for name in ["coordinator-1", "coordinator-2"] {
            killed(&sandbox, &show, name, GOES_ON).await?;
            stopped(&sandbox, &show, name, GOES_ON).await?;
        }
        // Each time it is the one that everybody moved to.
        killed(&sandbox, &show, "edge-1", RESUMES).await?;
        stopped(&sandbox, &show, "edge-2", RESUMES).await?;
        stopped(&sandbox, &show, "edge-1", RESUMES).await?;
        killed(&sandbox, &show, "edge-2", RESUMES).await?;
        killed(&sandbox, &show, origin_of(&sandbox).await?, RESUMES).await?;
        let sleeper = origin_of(&sandbox).await?;
        stopped(&sandbox, &show, sleeper, RESUMES).await?;
        ensure!(
            origin_of(&sandbox).await? != sleeper,
            "a stopped origin kept the stream"
        );
        let fenced = sandbox
            .log(sleeper)
            .await?
            .contains("fenced: another origin took over");
        ensure!(fenced, "the origin that woke was not fenced");
        killed(&sandbox, &show, ingest_of(&sandbox).await?, RESUMES).await?;
        stopped(&sandbox, &show, ingest_of(&sandbox).await?, RESUMES * 2).await?;
        for pulled in Engine::ALL {
            engine(&sandbox, &show, pulled).await?;
        }
        flood.took_effect_once(Duration::from_secs(600)).await
    })
    .await
}

/// Ten minutes, or what `STREAMR_TEST_OUTAGE_SECONDS` says.
fn outage() -> Duration {
    let seconds = env::var("STREAMR_TEST_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(600))
}

/// The engine is away for ten minutes: everybody goes on watching, the publisher may return, and all is well
/// afterwards.
async fn goes_on_without(engine: Engine) -> Result<()> {
    let sandbox = Sandbox::cluster().own_engines().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let engines = sandbox.engines()?;
        let show = Show::start(&sandbox, "outage").await?;
        let other = sandbox.add_stream("newcomer").await?;
        let began = Instant::now();
        engine.kill(engines).await?;
        says_why(&sandbox, engine.need()).await?;
        sleep(outage() / 2).await;
        report(&show, &format!("{engine:?} away, first half"), began);
        show.stood_still_at_most(GOES_ON, began, "an engine is away")?;
        // Its publisher is cut off, and returns.
        let accepted = show.encoder.accepted();
        sandbox.kill(ingest_of(&sandbox).await?).await?;
        eventually(RESUMES * 2, "the publisher is let back in", || async {
            Ok((show.encoder.accepted() > accepted).then_some(()))
        })
        .await?;
        for viewer in &show.viewers {
            viewer.goes_on(RESUMES).await?;
        }
        let opening = open_publisher(sandbox.rtmp(), &other.key).await?;
        if engine == Engine::Postgres {
            let (code, why) = opening.rejection()?;
            say(&format!("a new publisher is told {code}: {why}"));
            ensure!(
                code == "NetStream.Publish.Failed" && why.contains("database"),
                "{code}: {why}"
            );
        } else {
            opening.ready()?;
        }
        let returned = Instant::now();
        sleep(outage() / 2).await;
        report(&show, &format!("{engine:?} away, second half"), returned);
        show.stood_still_at_most(GOES_ON, returned, "an engine is away")?;
        engine.restart(engines).await?;
        let back = Instant::now();
        for name in ["ingest-1", "ingest-2"] {
            if sandbox
                .with(name, |process| Ok(!process.is_running()))
                .await?
            {
                sandbox.launch(name).await?;
            }
        }
        all_ready(&sandbox).await?;
        say(&format!(
            "{engine:?} back: ready after {} ms",
            back.elapsed().as_millis()
        ));
        let source = Source::new(&Fixture::plain().await?);
        let late = sandbox.add_stream("late").await?;
        let _publication = source.publish(sandbox.rtmp(), &late.key).await?;
        sandbox
            .view_until("late", SOON, |view| view.state == "live")
            .await?;
        show.stood_still_at_most(GOES_ON, back, "an engine came back")
    })
    .await
}

#[tokio::test]
#[ignore = "takes ten minutes; `cargo xtask distributed` runs it"]
async fn ten_minutes_without_postgresql() -> Result<()> {
    goes_on_without(Engine::Postgres).await
}

#[tokio::test]
#[ignore = "takes ten minutes; `cargo xtask distributed` runs it"]
async fn ten_minutes_without_redis() -> Result<()> {
    goes_on_without(Engine::Redis).await
}

#[tokio::test]
#[ignore = "takes ten minutes; `cargo xtask distributed` runs it"]
async fn ten_minutes_without_rabbitmq() -> Result<()> {
    goes_on_without(Engine::RabbitMq).await
}
