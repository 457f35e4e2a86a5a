//! Garbage made from the API's own description: schemathesis finds no request that the server fails at.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use testkit::{Account, OWNER, Sandbox, within};
use tokio::process::Command;

use crate::support::scenario;

#[tokio::test]
async fn no_request_makes_the_server_fail() -> Result<()> {
    let sandbox = Sandbox::embedded()
        .set("ACCOUNTS__REGISTRATION", "open")
        .start()
        .await?;
    scenario(&sandbox, async {
        let program = env::var("STREAMR_TEST_SCHEMATHESIS")
            .context("STREAMR_TEST_SCHEMATHESIS is set by ./scripts/test")?;
        let owner = Account::log_in(&sandbox.pages(), OWNER.0, OWNER.1).await?;
        // It keeps what it found beside it.
        let folder = tempfile::tempdir()?;
        let run = Command::new(program)
            .current_dir(folder.path())
            .args(["run", &format!("{}/api/openapi.json", sandbox.pages())])
            .args(["--checks", "not_a_server_error,content_type_conformance"])
            // Listening lasts; logging out, banning and deleting would end the walk.
            .args(["--exclude-path-regex", "/events$|logout|/admin/users/|/me$"])
            .args([
                "--phases",
                "examples,coverage,fuzzing",
                "--max-examples",
                "20",
                "--seed",
                "1",
                // Python 3.11's own parser fails now and then where two threads use it at once (CPython gh-106905).
                "--workers",
                "1",
            ])
            .args([
                "--header",
                &format!("Authorization: Bearer {}", owner.token),
                "--no-color",
            ])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = within(Duration::from_mins(4), "schemathesis", run).await??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(
            said.contains("Tested:") || said.contains("operations"),
            "it tested nothing: {said}"
        );
        Ok(())
    })
    .await
}
