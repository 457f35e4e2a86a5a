//! A newcomer goes from the one-time link to LIVE with pages only; `tests/browser/newcomer.mjs` clicks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{Fixture, Sandbox, Turn};

use crate::support::{scenario, screenshots, setup_link};

/// Beyond it a page or ffmpeg hangs.
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test]
#[expect(clippy::print_stdout, reason = "figures that people ask for")]
async fn a_newcomer_goes_live_and_private_with_pages_only() -> Result<()> {
    let sandbox = Sandbox::one_process()
        .unset("BOOTSTRAP__EMAIL")
        .unset("BOOTSTRAP__PASSWORD")
        .unset("BOOTSTRAP__STREAM_KEY")
        .start()
        .await?;
    scenario(&sandbox, async {
        let brief = json!({
            "link": setup_link(&sandbox).await?,
            "ffmpeg": testkit::ffmpeg::system(),
            "file": Fixture::plain().await?.path,
            "pictures": screenshots()?,
        });
        let _turn = Turn::at_load().await?;
        let said = testkit::script("newcomer.mjs", &[&brief.to_string()], PATIENCE).await?;
        println!("measured {said}");
        let measured: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        let below = |what: &str, limit: i64| {
            let measured = measured[what].as_i64();
            ensure!(
                measured.is_some_and(|ms| ms < limit),
                "{what}: {measured:?} ms"
            );
            Ok(())
        };
        // At most 2 s after the first bytes, with a margin for a loaded machine.
        below("greenAfterBytesMs", 6000)?;
        below("greenAfterStartMs", 8000)?;
        below("cutOffMs", 10_000)
    })
    .await
}
