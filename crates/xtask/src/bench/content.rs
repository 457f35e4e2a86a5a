//! What is published: an FLV file that ffmpeg makes once.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use flv::{RawTag, TagKind};

use crate::{say, succeed};

/// 1280x720p30 H.264 main at a constant 2500 kbit/s, GOP of 2 s, no B-frames; AAC at 128 kbit/s.
const RECIPE: &str = "-hide_banner -loglevel error -y \
    -f lavfi -i testsrc2=size=1280x720:rate=30,noise=alls=12:allf=t \
    -f lavfi -i sine=frequency=440:sample_rate=48000 -t 60 \
    -c:v libx264 -preset veryfast -profile:v main -pix_fmt yuv420p -bf 0 \
    -b:v 2500k -minrate 2500k -maxrate 2500k -bufsize 2500k -nal-hrd cbr \
    -g 60 -keyint_min 60 -sc_threshold 0 -c:a aac -b:a 128k -ac 2 -f flv";

/// A minute of audio and video, to be published in a loop.
pub(super) struct Content {
    /// In the order of the file.
    pub(super) tags: Vec<RawTag>,
    /// After it the loop begins again.
    pub(super) duration: Duration,
}

impl Content {
    /// Reads the file kept in `folder`; makes it when there is none.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let file = folder.join("plain.flv");
        if !file.exists() {
            say("making the content");
            fs::create_dir_all(folder)?;
            let partial = folder.join("partial.flv");
            let arguments = RECIPE.split_whitespace();
            succeed(Command::new("ffmpeg").args(arguments).arg(&partial))?;
            fs::rename(&partial, &file)?;
        }
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let mut reader = flv::Reader::new();
        reader.push(&bytes);
        let mut tags = Vec::new();
        while let Some(tag) = reader.next_tag()? {
            // ffmpeg's end of sequence would end the stream at the first turn of the loop.
            if !is_end_of_sequence(&tag) {
                tags.push(tag);
            }
        }
        let Some(last) = tags.iter().map(|tag| tag.timestamp).max() else {
            bail!("{} holds no tags; remove it", file.display());
        };
        Ok(Self {
            tags,
            duration: Duration::from_millis(u64::from(last) + 33),
        })
    }

    /// What a viewer gets.
    pub(super) fn kbits(&self) -> f64 {
        let bytes: usize = self.tags.iter().map(|tag| tag.body.len()).sum();
        bytes as f64 * 8.0 / 1000.0 / self.duration.as_secs_f64()
    }
}

fn is_end_of_sequence(tag: &RawTag) -> bool {
    tag.kind == TagKind::Video && tag.body.get(1) == Some(&2)
}

/// The coded picture in a legacy H.264 tag; `None` for all other tags.
pub(super) fn picture(tag: &RawTag) -> Option<&[u8]> {
    let is_picture = tag.kind == TagKind::Video && tag.body.get(1) == Some(&1);
    is_picture.then(|| tag.body.get(5..)).flatten()
}

/// Tells pictures apart: servers pass them on bit for bit.
pub(super) fn hash(picture: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    picture.hash(&mut hasher);
    hasher.finish()
}
