//! VLC as a viewer: it plays without a screen and snaps pictures.

use std::{
    collections::BTreeSet, fs, os::unix::fs::PermissionsExt, process::Stdio, time::Duration,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::process::Command;

/// VLC on one URL. VLC refuses to run as root, so as root it runs as nobody.
#[derive(Debug)]
pub struct Vlc;

impl Vlc {
    /// Plays `url` for `seconds`; answers how many different pictures it showed.
    pub async fn watch(url: &str, seconds: u32) -> Result<usize> {
        let folder = tempfile::Builder::new().prefix("vlc-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let path = folder.path().display().to_string();
        let as_root = fs::metadata("/proc/self").map(|own| {
            use std::os::unix::fs::MetadataExt;
            own.uid() == 0
        })?;
        let mut command = if as_root {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--",
                "cvlc",
            ]);
            command
        } else {
            Command::new("cvlc")
        };
        let run_time = format!("--run-time={seconds}");
        let scene_path = format!("--scene-path={path}");
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
            .args([
                "--scene-prefix=snap",
                &scene_path,
                &run_time,
                "--play-and-exit",
                url,
                "vlc://quit",
            ])
            .env("HOME", &path)
            .env("XDG_RUNTIME_DIR", &path)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let limit = Duration::from_secs(u64::from(seconds) * 2 + 60);
        let output = crate::within(limit, &format!("VLC on {url}"), command.output())
            .await?
            .context("start cvlc; is VLC installed?")?;
        let mut pictures = BTreeSet::new();
        for entry in fs::read_dir(folder.path())? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|kind| kind == "png") {
                pictures.insert(hex::encode(Sha256::digest(fs::read(entry.path())?)));
            }
        }
        ensure!(
            !pictures.is_empty(),
            "VLC showed nothing of {url}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(pictures.len())
    }
}
