//! One picture by one ffmpeg: what it is given, what it may cost, and how it ends.

use std::{process::Stdio, time::Duration};

use bytes::Bytes;
use delivery::Keyframe;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long it may take.
const TIME: Duration = Duration::from_secs(5);
/// What a picture may have at most.
const MAX_PICTURE: usize = 256 * 1024;
/// What `nice` and shells say when there is no such program.
const NOT_FOUND: i32 = 127;
/// Decodes one frame of fragmented MP4, and nothing but what it is given.
const ARGUMENTS: &[&str] = &[
    "-hide_banner",
    "-loglevel",
    "quiet",
    "-nostdin",
    "-threads",
    "1",
    "-protocol_whitelist",
    "pipe",
    "-f",
    "mp4",
    "-i",
    "pipe:0",
    "-map",
    "0:v:0",
    "-an",
    "-frames:v",
    "1",
    "-vf",
    "scale=640:360:force_original_aspect_ratio=decrease,pad=640:360:(ow-iw)/2:(oh-ih)/2:color=0x16191e",
    "-c:v",
    "libwebp",
    "-quality",
    "70",
    "-f",
    "webp",
    "pipe:1",
];

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the stream has no keyframe yet")]
    NoKeyframe,
    #[error("{0:?} can't be run")]
    Missing(String),
    #[error("it took too long")]
    TooSlow,
    #[error("the picture is too large")]
    TooLarge,
    #[error("ffmpeg could not decode it")]
    Undecodable,
}

impl Failure {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NoKeyframe => "no_keyframe",
            Self::Missing(_) => "no_ffmpeg",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
        }
    }
}

/// The program.
#[derive(Debug)]
pub(super) struct Ffmpeg {
    program: String,
}

impl Ffmpeg {
    pub(super) fn new(program: String) -> Self {
        Self { program }
    }

    /// A WebP of the keyframe.
    pub(super) async fn picture(&self, keyframe: &Keyframe) -> Result<Bytes, Failure> {
        let missing = || Failure::Missing(self.program.clone());
        // Behind everything else; `nice` becomes ffmpeg, so that killing one kills the other. Secrets in our
        // environment are not its business.
        let mut child = Command::new("nice")
            .args(["-n", "15", &self.program])
            .args(ARGUMENTS)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|_| missing())?;
        let outcome = timeout(TIME, converse(&mut child, keyframe)).await;
        if !matches!(outcome, Ok(Ok(_))) {
            // Reaped at once, whatever it is at.
            let _ = timeout(TIME, child.kill()).await;
        }
        let (picture, code) = outcome.map_err(|_| Failure::TooSlow)??;
        match code {
            Some(0) if picture.starts_with(b"RIFF") => Ok(picture.into()),
            Some(NOT_FOUND) => Err(missing()),
            _ => Err(Failure::Undecodable),
        }
    }
}

/// Feeds it, reads what it makes, and answers that with its exit code.
async fn converse(
    child: &mut Child,
    keyframe: &Keyframe,
) -> Result<(Vec<u8>, Option<i32>), Failure> {
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::Undecodable);
    };
    let ((), picture) = tokio::join!(feed(stdin, keyframe), read(stdout));
    let status = child.wait().await.map_err(|_| Failure::Undecodable)?;
    Ok((picture?, status.code()))
}

/// It may close its input once it has its frame.
async fn feed(mut stdin: ChildStdin, keyframe: &Keyframe) {
    if stdin.write_all(&keyframe.init).await.is_ok() {
        let _ = stdin.write_all(&keyframe.fragment).await;
    }
}

async fn read(stdout: ChildStdout) -> Result<Vec<u8>, Failure> {
    let mut picture = Vec::with_capacity(16 * 1024);
    let mut bounded = stdout.take(MAX_PICTURE as u64 + 1);
    let read = bounded.read_to_end(&mut picture).await;
    match read {
        Ok(length) if length > MAX_PICTURE => Err(Failure::TooLarge),
        Ok(_) => Ok(picture),
        Err(_) => Err(Failure::Undecodable),
    }
}
