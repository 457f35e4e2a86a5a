//! VLC as a viewer: it plays without a screen and snaps pictures.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::{process::Command, time::Instant};

/// How long VLC may take to show what is asked of it.
const PATIENCE: Duration = Duration::from_secs(90);
/// How a whole PNG file ends: the IEND chunk's type and checksum.
const PNG_END: &[u8] = b"IEND\xaeB\x60\x82";

/// VLC on one URL. VLC refuses to run as root, so as root it runs as nobody.
#[derive(Debug)]
pub struct Vlc;

impl Vlc {
    /// Plays `url` until VLC has shown `enough` different pictures, [`PATIENCE`] at most: a busy machine
    /// makes it late, not wrong.
    pub async fn watch(url: &str, enough: usize) -> Result<()> {
        let folder = tempfile::Builder::new().prefix("vlc-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut player = command(url, folder.path())?
            .stderr(log)
            .spawn()
            .context("start cvlc; is VLC installed?")?;
        let deadline = Instant::now() + PATIENCE;
        let mut shown = 0;
        while shown < enough && Instant::now() < deadline && player.try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(250)).await;
            shown = pictures(folder.path())?;
        }
        let exit = player.try_wait()?;
        player.kill().await?;
        let log = fs::read(folder.path().join("log"))?;
        ensure!(
            shown >= enough,
            "VLC showed {shown} of {enough} pictures of {url} ({exit:?}): {}",
            String::from_utf8_lossy(&log)
        );
        Ok(())
    }
}

/// VLC, snapping a picture twice a second into `folder`.
fn command(url: &str, folder: &Path) -> Result<Command> {
    let as_root = fs::metadata("/proc/self").map(|own| own.uid() == 0)?;
    let mut command = Command::new(if as_root { "setpriv" } else { "cvlc" });
    if as_root {
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--",
            "cvlc",
        ]);
    }
    command
        .args([
            "--no-interact",
            "--no-color",
            "--vout=dummy",
            "--aout=dummy",
        ])
        .args([
            "--video-filter=scene",
            "--scene-format=png",
            "--scene-ratio=15",
        ])
        .args(["--no-drop-late-frames", "--no-skip-frames"])
        .arg("--scene-prefix=snap")
        .arg(format!("--scene-path={}", folder.display()))
        .arg(url)
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

/// How many different pictures there are; the newest may be half written.
fn pictures(folder: &Path) -> Result<usize> {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "png") {
            let picture = fs::read(path)?;
            if picture.ends_with(PNG_END) {
                seen.insert(hex::encode(Sha256::digest(picture)));
            }
        }
    }
    Ok(seen.len())
}
