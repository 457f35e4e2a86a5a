//! The playlist of whole segments, as far as a viewer that shows no picture reads it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Url};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use types::Msn;

/// A segment of a playlist.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) msn: Msn,
    pub(super) epoch: u64,
    pub(super) url: Url,
    pub(super) duration: Duration,
    pub(super) sha256: [u8; 32],
    /// When its first sample was made, where the playlist says so.
    pub(super) made: Option<OffsetDateTime>,
}

async fn text(client: &Client, url: Url) -> Result<(Url, String)> {
    let answer = client.get(url).send().await?;
    ensure!(
        answer.status() == 200,
        "{}: {}",
        answer.url(),
        answer.status()
    );
    Ok((answer.url().clone(), answer.text().await?))
}

/// The media playlist that a multivariant one names.
pub(super) async fn media(client: &Client, multivariant: &str) -> Result<Url> {
    let (base, text) = text(client, Url::parse(multivariant)?).await?;
    let line = text
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(base.join(line.context("no media playlist is named")?)?)
}

/// What can be fetched now.
pub(super) async fn entries(client: &Client, media: &Url) -> Result<Vec<Entry>> {
    let (base, text) = text(client, media.clone()).await?;
    read(&base, &text)
}

fn read(base: &Url, text: &str) -> Result<Vec<Entry>> {
    let (mut entries, mut msn) = (Vec::new(), 0_u64);
    let (mut sha256, mut duration, mut made) = (None, Duration::ZERO, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            msn = first.parse()?;
        } else if let Some(hex) = line.strip_prefix("#EXT-X-STREAMR-SHA256:") {
            let mut digest = [0; 32];
            hex::decode_to_slice(hex, &mut digest)?;
            sha256 = Some(digest);
        } else if let Some(at) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            made = OffsetDateTime::parse(at, &Rfc3339).ok();
        } else if let Some(seconds) = line.strip_prefix("#EXTINF:") {
            let seconds = seconds.split(',').next().unwrap_or_default();
            duration = Duration::from_secs_f64(seconds.parse()?);
        } else if !line.starts_with('#') {
            let url = base.join(line)?;
            let mut path = url.path_segments().context("a path")?.rev().skip(1);
            let epoch = path.next().and_then(|epoch| epoch.parse().ok());
            entries.push(Entry {
                msn: Msn::new(msn),
                epoch: epoch.context("an epoch in the segment's path")?,
                url,
                duration,
                sha256: sha256.take().context("a segment without digest")?,
                made,
            });
            // What is said of one segment goes on for those after it.
            made = made.map(|made| made + duration);
            msn += 1;
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_numbered_and_digests_are_theirs() {
        let base = Url::parse("http://edge/live/a/s/b/friends.m3u8").unwrap();
        let text = format!(
            "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"3/init0.mp4\"\n\
             #EXT-X-STREAMR-SHA256:{}\n#EXTINF:2.00000,\n3/7.m4s\n\
             #EXT-X-STREAMR-SHA256:{}\n#EXTINF:1.50000,\n3/8.m4s\n",
            "07".repeat(32),
            "08".repeat(32)
        );
        let entries = read(&base, &text).unwrap();
        let second = &entries[1];
        assert_eq!(
            (entries.len(), second.msn, second.epoch),
            (2, Msn::new(8), 3)
        );
        assert_eq!(
            (second.sha256, second.duration),
            ([8; 32], Duration::from_millis(1500))
        );
        assert_eq!(second.url.as_str(), "http://edge/live/a/s/b/3/8.m4s");
        assert!(
            read(&base, "#EXTINF:2,\n3/7.m4s").is_err(),
            "nothing without digest is played"
        );
    }
}
