//! Turns: what only one test at a time may do, whichever program it belongs to.

use std::{
    env,
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context, Result};

/// A turn; it is over when dropped.
#[derive(Debug)]
pub struct Turn {
    _locked: File,
}

impl Turn {
    /// Waits for a turn at loading the machine: hundreds of viewers, a browser, an encoder.
    pub async fn at_load() -> Result<Self> {
        Self::at("load").await
    }

    /// Waits for a turn at `what`.
    pub(crate) async fn at(what: &str) -> Result<Self> {
        let path = folder()?.join(format!("{what}.lock"));
        let locking = tokio::task::spawn_blocking(move || {
            let file = File::create(path)?;
            file.lock()?;
            anyhow::Ok(file)
        });
        Ok(Self {
            _locked: locking.await??,
        })
    }
}

/// What tests keep between runs: in the target folder.
pub(crate) fn folder() -> Result<PathBuf> {
    let tests = env::current_exe()?;
    let target = tests.ancestors().nth(3).context("no target folder")?;
    let folder = target.join("fixtures");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
