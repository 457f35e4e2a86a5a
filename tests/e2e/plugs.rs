//! Two of each service behind balancers, and one is killed: playback resumes where it served, and goes on
//! everywhere else. The whole matrix, with the engines, is in `outages`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{
    Browser, Encoder, Fixture, Sandbox, Source, Turn, Watch, Witness, eventually, hls::Viewer,
};
use tokio::time::{Instant, sleep};

use crate::support::{PLAYABLE, SOON, flv_path, live, say, scenario_of_the_dead};

/// Three times the promised 3 s.
pub(crate) const RESUMES: Duration = Duration::from_secs(9);
/// Where nothing serves that died. A part comes every third of a second; the machine is busy.
pub(crate) const GOES_ON: Duration = Duration::from_secs(4);
/// How long what a plug does is watched.
const WATCHED: Duration = Duration::from_secs(10);

/// A live stream on a cluster, and viewers of every kind.
pub(crate) struct Show {
    pub(crate) encoder: Encoder,
    pub(crate) viewers: Vec<Witness>,
}

impl Show {
    /// Starts it, and waits until everybody plays.
    pub(crate) async fn start(sandbox: &Sandbox, slug: &str) -> Result<Self> {
        let stream = sandbox.add_stream(slug).await?;
        let source = Source::new(&Fixture::plain().await?);
        let encoder = Encoder::start(source, sandbox.rtmp(), &stream.key);
        sandbox
            .view_until(slug, SOON, |view| view.state == "live")
            .await?;
        Viewer::open(&sandbox.hls(slug)).await?;
        let viewers = vec![
            Witness::hls(&sandbox.hls(slug)),
            Witness::hls(&sandbox.hls(slug)),
            Witness::flv(sandbox.playback_address(), &flv_path(slug)),
            Witness::flv(sandbox.playback_address(), &flv_path(slug)),
            Witness::rtmp(sandbox.rtmp(), slug),
            Witness::rtmp(sandbox.rtmp(), slug),
        ];
        let show = Self { encoder, viewers };
        for viewer in &show.viewers {
            viewer.goes_on(PLAYABLE).await?;
        }
        Ok(show)
    }

    /// How long each viewer stood still since `since`, in words.
    pub(crate) fn tell(&self, since: Instant) -> String {
        let told = self.viewers.iter().map(|viewer| {
            let (returns, error) = viewer.returns();
            let still = viewer.stood_still(since).as_millis();
            format!("{} {still} ms ({returns} returns; {error})", viewer.name())
        });
        told.collect::<Vec<_>>().join(", ")
    }

    /// Fails if a viewer stood still for longer than `limit` since `since`, or saw what should never be.
    pub(crate) fn stood_still_at_most(
        &self,
        limit: Duration,
        since: Instant,
        what: &str,
    ) -> Result<()> {
        for viewer in &self.viewers {
            viewer.is_content()?;
            ensure!(
                viewer.stood_still(since) <= limit,
                "{what}: {}",
                self.tell(since)
            );
        }
        Ok(())
    }
}

/// Which of a kind said `words` of the stream last.
pub(crate) async fn who_said(
    sandbox: &Sandbox,
    names: &[&'static str],
    words: &str,
) -> Result<&'static str> {
    let mut found: Option<(String, &'static str)> = None;
    for name in names {
        let log = sandbox.log(name).await?;
        let line = log
            .lines()
            .rfind(|line| line.contains(words))
            .map(str::to_owned);
        // Lines begin with their time.
        if let Some(line) = line
            && found.as_ref().is_none_or(|(latest, _)| line > *latest)
        {
            found = Some((line, name));
        }
    }
    Ok(found.with_context(|| format!("nobody said {words:?}"))?.1)
}

pub(crate) async fn ingest_of(sandbox: &Sandbox) -> Result<&'static str> {
    who_said(sandbox, &["ingest-1", "ingest-2"], "publisher came").await
}

pub(crate) async fn origin_of(sandbox: &Sandbox) -> Result<&'static str> {
    who_said(sandbox, &["origin-1", "origin-2"], ": packaging").await
}

/// Kills a service, looks at the viewers, and starts it again.
async fn survives(
    sandbox: &Sandbox,
    show: &Show,
    name: &'static str,
    limit: Duration,
) -> Result<()> {
    let began = Instant::now();
    sandbox.kill(name).await?;
    sleep(WATCHED).await;
    let what = format!("{name} killed");
    say(&format!("{what}: {}", show.tell(began)));
    show.stood_still_at_most(limit, began, &what)?;
    sandbox.launch(name).await?;
    sandbox.ready(name).await?;
    // Players that moved stay; what returned is used by the next.
    sleep(Duration::from_secs(1)).await;
    Ok(())
}

#[tokio::test]
async fn any_service_may_be_killed() -> Result<()> {
    let sandbox = Sandbox::cluster().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let _turn = Turn::at_load().await?;
        let show = Show::start(&sandbox, "plugs").await?;
        for name in ["coordinator-1", "coordinator-2"] {
            survives(&sandbox, &show, name, GOES_ON).await?;
        }
        for name in ["edge-1", "edge-2"] {
            survives(&sandbox, &show, name, RESUMES).await?;
        }
        survives(&sandbox, &show, origin_of(&sandbox).await?, RESUMES).await?;
        survives(&sandbox, &show, ingest_of(&sandbox).await?, RESUMES).await?;
        ensure!(
            show.encoder.accepted() == 2,
            "its publisher was accepted {} times",
            show.encoder.accepted()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_page_goes_on_at_the_other_edge() -> Result<()> {
    let sandbox = Sandbox::cluster().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let (stream, _publication) = live(&sandbox, "moves", &Fixture::plain().await?).await?;
        let opened = Viewer::open(&sandbox.hls(&stream.slug)).await?;
        let uris = opened
            .multivariant
            .lines()
            .filter(|line| line.contains("index.m3u8"));
        ensure!(uris.count() == 2, "not both edges: {}", opened.multivariant);
        let _turn = Turn::at_load().await?;
        let page = tokio::spawn(Browser::watch(Watch::playing(
            &sandbox.watch_page(&stream.slug),
            22,
        )));
        eventually(SOON, "the page watches", || async {
            Ok((sandbox.view(&stream.slug).await?.viewers > 0).then_some(()))
        })
        .await?;
        sleep(Duration::from_secs(4)).await;
        // It plays from one of them: each dies once.
        for name in ["edge-1", "edge-2"] {
            sandbox.kill(name).await?;
            sleep(Duration::from_secs(4)).await;
            sandbox.launch(name).await?;
            sandbox.ready(name).await?;
            sleep(Duration::from_secs(1)).await;
        }
        let report = testkit::within(SOON * 3, "the page", page).await???;
        say(&format!(
            "the picture stood still for {} ms at most",
            report.longest_freeze_ms
        ));
        ensure!(report.longest_freeze_ms <= 9_000, "{report:?}");
        ensure!(report.state == "playing", "{report:?}");
        Ok(())
    })
    .await
}
