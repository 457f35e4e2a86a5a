//! The node that friends download: one static file for Linux on x86-64, small enough to be sent around.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{cargo, say, succeed};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What is promised to friends.
const MOST: u64 = 12 * 1024 * 1024;

/// Builds it and says where it is and how large.
pub(crate) fn build(root: &Path) -> Result<()> {
    // A target that is named keeps the flags from build scripts and macros, which can't be static.
    let build = format!("build --package node --bin streamr-node --profile dist --target {TARGET}");
    succeed(
        cargo(root)
            .args(build.split(' '))
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static"),
    )?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
    let binary = folder.join(TARGET).join("dist/streamr-node");
    let size = fs::metadata(&binary)
        .with_context(|| format!("look at {}", binary.display()))?
        .len();
    let mebibytes = size as f64 / f64::from(1 << 20);
    say(&format!("{} is {mebibytes:.2} MiB", binary.display()));
    if size > MOST {
        bail!("more than the 12 MiB that friends are promised");
    }
    Ok(())
}
