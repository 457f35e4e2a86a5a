//! `cargo xtask swarm`: builds what is measured, and gives the bench a network of its own.
//!
//! The bench itself is `testkit`'s example `swarm`: it needs the crates that this one does without.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{cargo, say, succeed, web};

/// What the bench runs beside our own programs; starts no service.
const INSTALL: &str = "set -e; . scripts/lib.sh; PATH=$PATH:/usr/sbin; need ffmpeg ffmpeg; use_node; use_browser; \
    [ \"$(id -u)\" != 0 ] || { need ip iproute2; need nft nftables; }";

/// As many files as the machine lets root have.
const MANY_FILES: &str = "prlimit --nofile=1000000:1000000 --pid $$ 2>/dev/null; exec \"$@\"";

/// Measures and prints.
pub(crate) fn run(root: &Path, arguments: &[OsString]) -> Result<()> {
    succeed(Command::new("bash").args(["-c", INSTALL]).current_dir(root))?;
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = root.join(named.unwrap_or_else(|| "target".into()));
    web::build(root, false)?;
    say("building streamr, streamr-node and the bench");
    // All at once: apart, they would be built from dependencies with other features, each for itself.
    succeed(cargo(root).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "streamr",
        "--package",
        "node",
        "--package",
        "testkit",
        "--bins",
        "--example",
        "swarm",
    ]))?;
    let bench = target.join("release/examples/swarm");
    let mut command = if is_root() {
        // Networks, mounts and processes that end with it, whatever ends it.
        let mut unshare = Command::new("setpriv");
        let alone =
            "--pdeathsig KILL -- unshare --net --mount --pid --fork --kill-child --mount-proc";
        unshare
            .args(alone.split(' '))
            .args(["--", "sh", "-c", MANY_FILES])
            .arg("bench")
            .arg(bench);
        unshare.arg("--namespaces");
        unshare
    } else {
        say(
            "not root: no network namespaces, so no NAT, no loss and no rates; run it as root for them",
        );
        Command::new(bench)
    };
    succeed(
        command
            .args(arguments)
            .current_dir(root)
            .env("STREAMR_TEST_BIN_DIR", target.join("release")),
    )
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
