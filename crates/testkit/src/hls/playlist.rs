//! Reading media playlists (RFC 8216bis §4). Strict: what it does not know is an error.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// `EXT-X-SERVER-CONTROL`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerControl {
    /// `CAN-BLOCK-RELOAD`.
    pub can_block_reload: bool,
    /// `CAN-SKIP-UNTIL` in seconds.
    pub can_skip_until: Option<f64>,
    /// `HOLD-BACK` in seconds.
    pub hold_back: Option<f64>,
    /// `PART-HOLD-BACK` in seconds.
    pub part_hold_back: Option<f64>,
}

/// `EXT-X-PART`.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// URI as written.
    pub uri: String,
    /// Seconds.
    pub duration: f64,
    /// Starts with a keyframe.
    pub independent: bool,
    /// `GAP=YES`.
    pub gap: bool,
}

/// A segment; the last one of a low-latency playlist may have parts only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// URI as written; none while it is unfinished.
    pub uri: Option<String>,
    /// Seconds as written; zero while it is unfinished.
    pub duration: f64,
    /// `EXT-X-PROGRAM-DATE-TIME`.
    pub date: Option<OffsetDateTime>,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// `EXT-X-GAP`.
    pub gap: bool,
    /// The `EXT-X-MAP` in force.
    pub map: Option<String>,
    /// Its parts, if listed.
    pub parts: Vec<Part>,
    /// `EXT-X-STREAMR-SHA256`.
    pub sha256: Option<String>,
}

impl Segment {
    /// The epoch in its URI, or in a part's.
    pub fn epoch(&self) -> Option<u64> {
        let uri = self
            .uri
            .as_ref()
            .or(self.parts.first().map(|part| &part.uri))?;
        uri.rsplit('/').nth(1)?.parse().ok()
    }
}

/// A media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MediaPlaylist {
    /// `EXT-X-VERSION`.
    pub version: Option<u32>,
    /// `EXT-X-TARGETDURATION` in seconds.
    pub target_duration: Option<u32>,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity_sequence: u64,
    /// `PART-TARGET` of `EXT-X-PART-INF`, in seconds.
    pub part_target: Option<f64>,
    /// `EXT-X-SERVER-CONTROL`.
    pub server_control: Option<ServerControl>,
    /// `EXT-X-INDEPENDENT-SEGMENTS`.
    pub independent_segments: bool,
    /// `SKIPPED-SEGMENTS` of `EXT-X-SKIP`.
    pub skipped: Option<u64>,
    /// Segments in order.
    pub segments: Vec<Segment>,
    /// URI of the `EXT-X-PRELOAD-HINT` of a part.
    pub preload_hint: Option<String>,
    /// `EXT-X-ENDLIST`.
    pub ended: bool,
}

impl MediaPlaylist {
    /// Reads a playlist.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        ensure!(
            lines.next() == Some("#EXTM3U"),
            "§4.4.1.1: the first line is not EXTM3U"
        );
        let mut reader = Reader::default();
        for line in lines.filter(|line| !line.is_empty()) {
            reader
                .line(line)
                .with_context(|| format!("in line {line:?}"))?;
        }
        Ok(reader.finish())
    }

    /// Whole segments only.
    pub fn whole(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.uri.is_some())
    }

    /// The last whole segment's number.
    pub fn last_msn(&self) -> Option<u64> {
        self.whole().next_back().map(|segment| segment.msn)
    }

    /// Seconds of everything listed, parts of the last segment included.
    pub fn duration(&self) -> f64 {
        let so_far = |segment: &Segment| match segment.uri {
            Some(_) => segment.duration,
            None => segment.parts.iter().map(|part| part.duration).sum(),
        };
        self.segments.iter().map(so_far).sum()
    }

    /// The newest part: its segment's number and its index.
    pub fn last_part(&self) -> Option<(u64, usize)> {
        let segment = self
            .segments
            .iter()
            .rfind(|segment| !segment.parts.is_empty())?;
        Some((segment.msn, segment.parts.len() - 1))
    }
}

#[derive(Default)]
struct Reader {
    playlist: MediaPlaylist,
    next: Segment,
    map: Option<String>,
    duration: Option<f64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<()> {
        if !line.starts_with('#') {
            return self.uri(line);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let playlist = &mut self.playlist;
        match name {
            "#EXT-X-VERSION" => once(&mut playlist.version, value.parse()?)?,
            "#EXT-X-TARGETDURATION" => once(&mut playlist.target_duration, value.parse()?)?,
            "#EXT-X-MEDIA-SEQUENCE" => {
                ensure!(
                    playlist.segments.is_empty(),
                    "§4.4.3.2: stands after a segment"
                );
                playlist.media_sequence = value.parse()?;
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                ensure!(
                    playlist.segments.is_empty() && !self.next.discontinuity,
                    "§4.4.3.3: stands after a segment or an EXT-X-DISCONTINUITY"
                );
                playlist.discontinuity_sequence = value.parse()?;
            }
            "#EXT-X-PART-INF" => {
                let target = attributes(value)?.number("PART-TARGET")?;
                once(&mut playlist.part_target, target.context("no PART-TARGET")?)?;
            }
            "#EXT-X-SERVER-CONTROL" => {
                let attributes = attributes(value)?;
                let control = ServerControl {
                    can_block_reload: attributes.is_yes("CAN-BLOCK-RELOAD"),
                    can_skip_until: attributes.number("CAN-SKIP-UNTIL")?,
                    hold_back: attributes.number("HOLD-BACK")?,
                    part_hold_back: attributes.number("PART-HOLD-BACK")?,
                };
                once(&mut playlist.server_control, control)?;
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent_segments = true,
            "#EXT-X-SKIP" => {
                let skipped = attributes(value)?.number("SKIPPED-SEGMENTS")?;
                once(
                    &mut playlist.skipped,
                    skipped.context("no SKIPPED-SEGMENTS")? as u64,
                )?;
            }
            "#EXT-X-ENDLIST" => playlist.ended = true,
            "#EXT-X-PRELOAD-HINT" => {
                let attributes = attributes(value)?;
                ensure!(
                    attributes.text("TYPE") == Some("PART"),
                    "a hint of another type"
                );
                let uri = attributes.text("URI").context("no URI")?.to_owned();
                once(&mut playlist.preload_hint, uri)?;
            }
            "#EXT-X-MAP" => {
                self.map = Some(attributes(value)?.text("URI").context("no URI")?.to_owned());
            }
            "#EXT-X-DISCONTINUITY" => self.next.discontinuity = true,
            "#EXT-X-GAP" => self.next.gap = true,
            "#EXT-X-PROGRAM-DATE-TIME" => {
                once(&mut self.next.date, OffsetDateTime::parse(value, &Rfc3339)?)?;
            }
            "#EXT-X-STREAMR-SHA256" => once(&mut self.next.sha256, value.to_owned())?,
            "#EXT-X-PART" => {
                let attributes = attributes(value)?;
                self.next.parts.push(Part {
                    uri: attributes.text("URI").context("no URI")?.to_owned(),
                    duration: attributes.number("DURATION")?.context("no DURATION")?,
                    independent: attributes.is_yes("INDEPENDENT"),
                    gap: attributes.is_yes("GAP"),
                });
            }
            "#EXTINF" => {
                let seconds = value.split(',').next().unwrap_or("");
                once(&mut self.duration, seconds.parse()?)?;
            }
            _ if line.starts_with("#EXT") => bail!("a tag that is unknown here"),
            _ => {}
        }
        Ok(())
    }

    fn uri(&mut self, uri: &str) -> Result<()> {
        let duration = self
            .duration
            .take()
            .context("§4.4.4.1: a segment without EXTINF")?;
        self.push(Some(uri.to_owned()), duration);
        Ok(())
    }

    fn push(&mut self, uri: Option<String>, duration: f64) {
        let skipped = self.playlist.skipped.unwrap_or(0);
        let index = self.playlist.segments.len() as u64;
        let segment = Segment {
            msn: self.playlist.media_sequence + skipped + index,
            uri,
            duration,
            map: self.map.clone(),
            ..std::mem::take(&mut self.next)
        };
        self.playlist.segments.push(segment);
    }

    fn finish(mut self) -> MediaPlaylist {
        if !self.next.parts.is_empty() {
            self.push(None, 0.0);
        }
        self.playlist
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    ensure!(slot.is_none(), "stands there twice");
    *slot = Some(value);
    Ok(())
}

/// An attribute list (§4.2).
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn is_yes(&self, name: &str) -> bool {
        self.text(name) == Some("YES")
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        Ok(self.text(name).map(str::parse).transpose()?)
    }
}

fn attributes(text: &str) -> Result<Attributes> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .context("§4.2: an attribute without value")?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').context("§4.2: an open quote")?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let twice = found.insert(name.to_owned(), value.to_owned()).is_some();
        ensure!(!twice, "§4.2: {name} stands there twice");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Ok(Attributes(found))
}
