//! ffmpeg as encoder, publisher and player.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

/// Beyond it ffmpeg hangs.
const PATIENCE: Duration = Duration::from_mins(2);

/// The ffmpeg of this system.
pub fn system() -> PathBuf {
    "ffmpeg".into()
}

/// A current ffmpeg, which publishes HEVC, AV1 and Opus by Enhanced RTMP.
pub fn current() -> Result<PathBuf> {
    let path = env::var_os("STREAMR_TEST_FFMPEG_CURRENT").context(
        "STREAMR_TEST_FFMPEG_CURRENT is unset: set it to a current ffmpeg, such as the one in the \
         Python package imageio-ffmpeg; ./scripts/test does",
    )?;
    let path = PathBuf::from(path);
    ensure!(
        path.is_file(),
        "STREAMR_TEST_FFMPEG_CURRENT: no file {}",
        path.display()
    );
    Ok(path)
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-hide_banner", "-nostdin", "-loglevel", "warning"])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs it to its end, which must be a good one; answers what it said.
pub async fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = command(program, arguments).output();
    let output = crate::within(PATIENCE, "ffmpeg", output)
        .await?
        .with_context(|| format!("start {}; is it installed?", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ffmpeg {arguments:?}: {said}");
    Ok(said)
}

/// A publisher; it ends when dropped.
#[derive(Debug)]
pub struct Publisher {
    child: Child,
}

impl Publisher {
    /// Publishes `file` to `url` in real time, over and over, as it is.
    pub fn start(program: &Path, file: &Path, url: &str) -> Result<Self> {
        let file = file.display().to_string();
        let arguments = [
            "-re",
            "-stream_loop",
            "-1",
            "-i",
            &file,
            "-c",
            "copy",
            "-f",
            "flv",
            url,
        ];
        let child = command(program, &arguments)
            .stderr(Stdio::null())
            .spawn()
            .context("start ffmpeg")?;
        Ok(Self { child })
    }

    /// Whether it still publishes.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// What a player decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Video frames.
    pub video: u64,
    /// Samples of sound in one channel.
    pub audio: u64,
    /// What it complained about, a line each.
    pub complaints: Vec<String>,
}

/// Plays `url` for `seconds` of media and decodes all of it.
pub async fn decode(url: &str, seconds: u32) -> Result<Decoded> {
    decode_with(&system(), url, seconds).await
}

/// [`decode`] by a given ffmpeg.
pub async fn decode_with(program: &Path, url: &str, seconds: u32) -> Result<Decoded> {
    let seconds = seconds.to_string();
    // framecrc writes a line a frame, decoded: stream, dts, pts, duration, size, checksum.
    let arguments = ["-i", url, "-t", &seconds, "-f", "framecrc", "-"];
    let output = command(program, &arguments).output();
    let output = crate::within(PATIENCE, &format!("ffmpeg plays {url}"), output).await??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "ffmpeg on {url}: {said}");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut decoded = Decoded {
        video: 0,
        audio: 0,
        complaints: complaints(&said),
    };
    let mut is_video = Vec::new();
    for line in text.lines() {
        if let Some(media_type) = line.strip_prefix("#media_type ") {
            is_video.push(media_type.ends_with("video"));
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [stream, _, _, duration, ..] = fields.as_slice() else {
            continue;
        };
        let Ok(stream) = stream.parse::<usize>() else {
            continue;
        };
        if is_video.get(stream) == Some(&true) {
            decoded.video += 1;
        } else {
            decoded.audio += duration.parse::<u64>().unwrap_or(0);
        }
    }
    Ok(decoded)
}

/// Lines that ffmpeg writes whatever a server does: it reads the initialization segment again with every
/// segment, and tries to go on with one server's connection at the other of two that a multivariant names.
const NOISE: [&str; 4] = [
    "Found duplicated MOOV Atom",
    "Last message repeated",
    "Cannot reuse HTTP connection for different host",
    "keepalive request failed for",
];

fn complaints(said: &str) -> Vec<String> {
    let is_noise = |line: &&str| NOISE.iter().any(|noise| line.contains(noise));
    said.lines()
        .filter(|line| !is_noise(line))
        .map(str::to_owned)
        .collect()
}

/// Decodes bytes of a media file.
pub async fn decode_bytes(bytes: &[u8]) -> Result<Decoded> {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile()?;
    std::fs::write(file.path(), bytes)?;
    decode(&file.path().display().to_string(), 60).await
}

/// A frame or packet's timestamp, in seconds, with its stream's kind.
#[derive(Debug, Clone, PartialEq)]
pub struct PacketTime {
    /// `video` or `audio`.
    pub kind: String,
    /// Presentation time.
    pub pts: f64,
    /// Decode time.
    pub dts: f64,
}

/// The packets of the first `seconds` seconds of `url`.
pub async fn packets(url: &str, seconds: u32) -> Result<Vec<PacketTime>> {
    let interval = format!("%+{seconds}");
    let mut command = Command::new("ffprobe");
    command
        .args(["-v", "error", "-read_intervals", &interval])
        .args([
            "-show_entries",
            "packet=codec_type,pts_time,dts_time",
            "-of",
            "csv=p=0",
            url,
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = crate::within(PATIENCE, &format!("ffprobe {url}"), command.output()).await??;
    ensure!(
        output.status.success(),
        "ffprobe {url}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let packets = text.lines().filter_map(|line| {
        let mut fields = line.split(',');
        Some(PacketTime {
            kind: fields.next()?.to_owned(),
            pts: fields.next()?.parse().ok()?,
            dts: fields.next()?.parse().ok()?,
        })
    });
    Ok(packets.collect())
}
