//! The multivariant playlist (RFC 8216bis §4.4.6): what is at a stream's public URL.

use std::fmt::Write as _;

use media::FrameRate;
use types::Bitrate;

/// A multivariant playlist with our single rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multivariant<'a> {
    /// The media playlist's URI.
    pub uri: &'a str,
    /// The same media playlist at other servers: redundant variants (RFC 8216 §4.3.4.2), for players that
    /// lose this one.
    pub others: &'a [String],
    /// Peak bit rate of any segment, in bits a second (`BANDWIDTH`).
    pub bandwidth: Bitrate,
    /// Average bit rate (`AVERAGE-BANDWIDTH`).
    pub average_bandwidth: Bitrate,
    /// Codec strings (RFC 6381), of the video first.
    pub codecs: &'a [&'a str],
    /// Width and height in pixels; none without video.
    pub resolution: Option<(u32, u32)>,
    /// Frames a second, if known.
    pub frame_rate: Option<FrameRate>,
}

impl Multivariant<'_> {
    /// The playlist's text.
    pub fn render(&self) -> String {
        let mut info = format!(
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
            self.bandwidth,
            self.average_bandwidth,
            self.codecs.join(",")
        );
        // Writing into a String can't fail; so everywhere in this crate.
        if let Some((width, height)) = self.resolution {
            let _ = write!(info, ",RESOLUTION={width}x{height}");
        }
        if let Some(rate) = self.frame_rate {
            let _ = write!(info, ",FRAME-RATE={:.3}", rate.as_f64());
        }
        let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
        for uri in std::iter::once(self.uri).chain(self.others.iter().map(String::as_str)) {
            let _ = writeln!(text, "{info}\n{uri}");
        }
        text
    }
}
