//! What the tests share: one sandbox, and the way a failure shows its logs.

use std::{future::Future, path::PathBuf, time::Duration};

use anyhow::Result;
use testkit::{Fixture, Publication, Sandbox, Source, Stream, eventually};
use tokio::sync::OnceCell;

/// Three times what the product promises, and for what it doesn't: long enough for a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// A stream's first segment with a keyframe each 2 s, its start and a slow machine included.
pub(crate) const PLAYABLE: Duration = Duration::from_secs(30);

static SHARED: OnceCell<Sandbox> = OnceCell::const_new();

/// The one `streamr` of all tests that don't hurt it.
pub(crate) async fn shared() -> Result<&'static Sandbox> {
    SHARED.get_or_try_init(|| Sandbox::embedded().start()).await
}

/// Runs a test's body; if it fails, shows the logs, and if a process ended, it failed.
pub(crate) async fn scenario(
    sandbox: &Sandbox,
    body: impl Future<Output = Result<()>>,
) -> Result<()> {
    let outcome = match body.await {
        Ok(()) => sandbox.all_run().await,
        failure => failure,
    };
    if outcome.is_err() {
        sandbox.print_logs().await;
    }
    outcome
}

/// [`scenario`] for a test that kills on purpose: an ended process is no failure.
pub(crate) async fn scenario_of_the_dead(
    sandbox: &Sandbox,
    body: impl Future<Output = Result<()>>,
) -> Result<()> {
    let outcome = body.await;
    if outcome.is_err() {
        sandbox.print_logs().await;
    }
    outcome
}

/// A new stream that `fixture` is published to in real time.
pub(crate) async fn live(
    sandbox: &Sandbox,
    slug: &str,
    fixture: &Fixture,
) -> Result<(Stream, Publication)> {
    live_as(sandbox, slug, &Source::new(fixture)).await
}

/// [`live`] with a source of its own kind.
pub(crate) async fn live_as(
    sandbox: &Sandbox,
    slug: &str,
    source: &Source,
) -> Result<(Stream, Publication)> {
    let stream = sandbox.add_stream(slug).await?;
    let publication = source.publish(sandbox.rtmp(), &stream.key).await?;
    sandbox
        .view_until(slug, SOON, |view| view.state == "live")
        .await?;
    Ok((stream, publication))
}

/// The one-time link in the terminal, which is written once everything is ready.
pub(crate) async fn setup_link(sandbox: &Sandbox) -> Result<String> {
    eventually(SOON, "a one-time link in the terminal", || async {
        let log = sandbox.log("streamr").await?;
        let link = log.split_whitespace().find(|word| word.contains("/setup#"));
        Ok(link.map(str::to_owned))
    })
    .await
}

/// A path at the playback address.
pub(crate) fn flv_path(slug: &str) -> String {
    format!("/live/{slug}.flv")
}

/// The folder of screenshots, beside the programs, where CI finds it.
pub(crate) fn screenshots() -> Result<PathBuf> {
    let programs = testkit::binary("streamr")?;
    let folder = programs.parent().map(|folder| folder.join("screenshots"));
    let folder = folder.unwrap_or_default();
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Says what was measured, for who asked the runner to show it.
#[expect(clippy::print_stdout, reason = "the runner keeps it beside the test")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
