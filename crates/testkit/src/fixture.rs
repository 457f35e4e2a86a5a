//! Streams encoded once and kept as FLV files, so that tests need no encoder while they run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flv::{RawTag, TagKind};
use sha2::{Digest, Sha256};

use crate::{
    ffmpeg,
    turn::{self, Turn},
};

/// Seconds that a fixture lasts before it starts over.
const SECONDS: &str = "40";
const PICTURE: &str = "testsrc2=size=320x180:rate=30";
const SOUND: &str = "sine=frequency=440:sample_rate=48000";
const AAC: &str = "-c:a aac -b:a 96k -ac 2";
const X264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -b:v 400k";

/// An encoded stream.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The FLV file.
    pub path: PathBuf,
    tags: Arc<Vec<RawTag>>,
    duration: u32,
}

/// A tag and when it is due.
#[derive(Debug, Clone)]
pub struct TimedTag {
    /// What it carries.
    pub kind: TagKind,
    /// Milliseconds since the start; never wraps.
    pub time: u64,
    /// The body.
    pub body: Bytes,
}

impl Fixture {
    /// H.264 and AAC, a keyframe every 2 s, no B-frames.
    pub async fn plain() -> Result<Self> {
        Self::video_and_sound(
            "plain",
            &format!("{X264} -g 60 -keyint_min 60 -sc_threshold 0"),
            AAC,
        )
        .await
    }

    /// Like [`Self::plain`] but larger, at a bitrate that noise fills.
    pub async fn of_bitrate(kbits: u32) -> Result<Self> {
        let picture = "testsrc2=size=640x360:rate=30,noise=alls=30:allf=t";
        let video = format!(
            "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -b:v {kbits}k \
             -minrate {kbits}k -maxrate {kbits}k -bufsize {kbits}k -g 60 -keyint_min 60 -sc_threshold 0"
        );
        let arguments = format!("-f lavfi -i {picture} -f lavfi -i {SOUND} {video} {AAC}");
        Self::encode(&format!("noise-{kbits}"), ffmpeg::system(), &arguments).await
    }

    /// H.264 with three B-frames in a row.
    pub async fn b_frames() -> Result<Self> {
        let video = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 400k -bf 3 -b_strategy 0 \
                     -g 60 -keyint_min 60 -sc_threshold 0";
        Self::video_and_sound("b-frames", video, AAC).await
    }

    /// H.264 with a keyframe every 250 frames, OBS's default: 8.3 s.
    pub async fn long_gop() -> Result<Self> {
        let video = format!("{X264} -g 250 -keyint_min 250 -sc_threshold 0");
        Self::video_and_sound("long-gop", &video, AAC).await
    }

    /// AAC alone.
    pub async fn audio_only() -> Result<Self> {
        Self::encode(
            "audio-only",
            ffmpeg::system(),
            &format!("-f lavfi -i {SOUND} {AAC}"),
        )
        .await
    }

    /// H.264 alone.
    pub async fn video_only() -> Result<Self> {
        let video = format!("-f lavfi -i {PICTURE} {X264} -g 60 -keyint_min 60 -sc_threshold 0");
        Self::encode("video-only", ffmpeg::system(), &video).await
    }

    /// AV1 and Opus, by Enhanced RTMP.
    pub async fn av1_opus() -> Result<Self> {
        let video = "-c:v libsvtav1 -preset 12 -b:v 400k -g 60 -pix_fmt yuv420p";
        let sound = "-c:a libopus -b:a 96k -ac 2";
        let arguments = format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {video} {sound}");
        Self::encode("av1-opus", ffmpeg::current()?, &arguments).await
    }

    /// HEVC and AAC, by Enhanced RTMP.
    pub async fn hevc() -> Result<Self> {
        let video = "-c:v libx265 -preset ultrafast -b:v 400k -pix_fmt yuv420p \
                     -x265-params keyint=60:min-keyint=60:scenecut=0:bframes=0:log-level=error";
        let arguments = format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {video} {AAC}");
        Self::encode("hevc", ffmpeg::current()?, &arguments).await
    }

    async fn video_and_sound(name: &str, video: &str, sound: &str) -> Result<Self> {
        let arguments = format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND} {video} {sound}");
        Self::encode(name, ffmpeg::system(), &arguments).await
    }

    /// Encodes with `program`, unless the same was encoded before.
    async fn encode(name: &str, program: PathBuf, arguments: &str) -> Result<Self> {
        // Encoding the same file twice at once would be a waste.
        let _turn = Turn::at("encoding").await?;
        let recipe = format!("{} {arguments} {SECONDS}", program.display());
        let digest = hex::encode(Sha256::digest(recipe));
        let folder = turn::folder()?;
        let path = folder.join(format!("{name}-{}.flv", &digest[..12]));
        if !path.is_file() {
            let unfinished = folder.join(format!("{name}.part"));
            let mut all: Vec<&str> = vec!["-y"];
            all.extend(arguments.split_whitespace());
            let target = unfinished.display().to_string();
            all.extend(["-t", SECONDS, "-f", "flv", &target]);
            ffmpeg::run(&program, &all)
                .await
                .with_context(|| format!("encode {name}"))?;
            // A run that was broken off leaves no half file behind.
            fs::rename(&unfinished, &path)?;
        }
        Self::read(&path)
    }

    fn read(path: &Path) -> Result<Self> {
        let mut reader = flv::Reader::new();
        reader.push(&fs::read(path)?);
        let mut tags = Vec::new();
        while let Some(tag) = reader.next_tag()? {
            tags.push(tag);
        }
        let last = tags.iter().map(|tag| tag.timestamp).max().unwrap_or(0);
        ensure!(last > 1000, "{} holds no stream", path.display());
        Ok(Self {
            path: path.to_owned(),
            tags: Arc::new(tags),
            duration: last + 33,
        })
    }

    /// The tags without end: after the last the first again, later, without what need not be repeated.
    pub fn tags(&self) -> impl Iterator<Item = TimedTag> + Send + use<> {
        let (tags, duration) = (Arc::clone(&self.tags), u64::from(self.duration));
        (0u64..).flat_map(move |round| {
            let tags = Arc::clone(&tags);
            (0..tags.len()).filter_map(move |index| {
                let tag = tags.get(index)?;
                let repeated =
                    tag.kind == TagKind::Script || is_sequence_header(tag.kind, &tag.body);
                (round == 0 || !repeated).then(|| TimedTag {
                    kind: tag.kind,
                    time: round * duration + u64::from(tag.timestamp),
                    body: tag.body.clone(),
                })
            })
        })
    }
}

/// Whether a tag carries a codec's configuration and no sample.
pub fn is_sequence_header(kind: TagKind, body: &[u8]) -> bool {
    let (Some(first), second) = (body.first(), body.get(1)) else {
        return false;
    };
    match kind {
        TagKind::Script => false,
        // Enhanced: packet type 0 in the low half.
        TagKind::Video if first & 0x80 != 0 => first.trailing_zeros() >= 4,
        TagKind::Audio if first >> 4 == 9 => first.trailing_zeros() >= 4,
        TagKind::Video => first & 0x0f == 7 && second == Some(&0),
        TagKind::Audio => first >> 4 == 10 && second == Some(&0),
    }
}

/// Whether a tag carries a video keyframe.
pub fn is_keyframe(kind: TagKind, body: &[u8]) -> bool {
    let frame = body.first().map_or(0, |first| (first >> 4) & 0x07);
    kind == TagKind::Video && frame == 1 && !is_sequence_header(kind, body)
}
