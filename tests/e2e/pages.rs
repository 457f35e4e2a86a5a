//! Every page in every state, against an imitated API: `tests/browser/states.mjs` looks.

use std::time::Duration;

use anyhow::Result;
use testkit::Turn;

/// Many pages on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(5);

#[tokio::test]
async fn every_page_in_every_state_is_accessible_and_without_errors() -> Result<()> {
    let _turn = Turn::at_load().await?;
    testkit::script("states.mjs", &[], PATIENCE).await?;
    Ok(())
}
