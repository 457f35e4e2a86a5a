//! The server's duties that only requests show (RFC 8216bis §4, §6.2.2, §6.2.5), and HTTP's own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::{
    Findings, Flavour, MediaPlaylist, Succession, Viewer, check_multivariant, check_snapshot,
};
use crate::http::{self, Answer};

/// Reloads of a playlist that are compared.
const RELOADS: usize = 24;

/// Walks the duties on a live stream at `url`, a multivariant of `flavour`.
pub async fn check(url: &str, flavour: Flavour) -> Result<Findings> {
    let viewer = Viewer::open(url).await?;
    let mut checker = Checker {
        viewer,
        findings: Findings::default(),
    };
    check_multivariant(&checker.viewer.multivariant, &mut checker.findings);
    checker.multivariant_answer(url).await?;
    checker.playlist_answer().await?;
    let watched = checker.viewer.load("").await?;
    if flavour == Flavour::LowLatency {
        checker.queries().await?;
        checker.delta_updates().await?;
        checker.blocking().await?;
        checker.part_past_the_end().await?;
        checker.hint().await?;
    } else {
        checker.digests().await?;
    }
    checker.objects().await?;
    checker.succession(flavour).await?;
    checker.removed_stay(&watched).await?;
    Ok(checker.findings)
}

/// Walks the duties on a stream that is over, through a session opened while it was live.
pub async fn check_ended(viewer: &Viewer, flavour: Flavour) -> Result<Findings> {
    let mut findings = Findings::default();
    let playlist = viewer.load("").await?;
    findings.check(playlist.ended, "4.4.3.4", || "no EXT-X-ENDLIST".to_owned());
    check_snapshot(&playlist, flavour, &mut findings);
    if flavour == Flavour::LowLatency {
        let began = Instant::now();
        let next = playlist.segments.last().map_or(0, |segment| segment.msn) + 1;
        let asked = viewer.load(&format!("_HLS_msn={next}&_HLS_part=0")).await?;
        findings.check(asked.ended, "6.2.5.2", || {
            "a reload lost the end".to_owned()
        });
        findings.check(began.elapsed() < Duration::from_secs(3), "6.2.5.2", || {
            "a reload was held after the end".to_owned()
        });
    }
    Ok(findings)
}

struct Checker {
    viewer: Viewer,
    findings: Findings,
}

impl Checker {
    async fn multivariant_answer(&mut self, url: &str) -> Result<()> {
        let client = self.viewer.client().clone();
        let answer = http::get(&client, url).await?;
        self.playlist_type(&answer, url);
        self.cross_origin(&answer, url);
        let stored = answer.header("cache-control").contains("no-store");
        self.findings.check(stored, "design §3", || {
            "the multivariant may be stored".to_owned()
        });
        let head = http::request(&client, Method::HEAD, url, &[]).await?;
        let same = head.status == StatusCode::OK && head.body.is_empty();
        self.findings.check(same, "RFC 9110 9.3.2", || {
            format!("HEAD {url}: {}", head.status)
        });
        Ok(())
    }

    async fn playlist_answer(&mut self) -> Result<()> {
        let url = self.viewer.playlist_url("");
        let client = self.viewer.client().clone();
        let plain = http::fetch(&client, &url).await?;
        self.playlist_type(&plain, &url);
        self.cross_origin(&plain, &url);
        let cached = plain.header("cache-control");
        let short = ["no-cache", "no-store", "max-age=0", "max-age=1"];
        let fresh = short.iter().any(|word| cached.contains(word));
        self.findings.check(fresh, "6.2.5.2", || {
            format!("a live playlist is cached: {cached:?}")
        });
        self.findings
            .check(!plain.body.starts_with(b"\xef\xbb\xbf"), "4.1", || {
                "a BOM".to_owned()
            });
        let utf8 = std::str::from_utf8(&plain.body).is_ok();
        self.findings.check(utf8, "4.1", || "not UTF-8".to_owned());
        let wanted = [("accept-encoding", "gzip")];
        let zipped = http::request(&client, Method::GET, &url, &wanted).await?;
        let is_zipped =
            zipped.header("content-encoding") == "gzip" && zipped.body.starts_with(b"\x1f\x8b");
        self.findings.check(is_zipped, "6.2.1", || {
            format!("not compressed for who takes gzip: {:?}", zipped.headers)
        });
        let varies = zipped
            .header("vary")
            .to_ascii_lowercase()
            .contains("accept-encoding");
        self.findings
            .check(varies, "RFC 9110 12.5.5", || "no Vary".to_owned());
        let head = http::request(&client, Method::HEAD, &url, &[]).await?;
        let empty = head.status == StatusCode::OK && head.body.is_empty();
        self.findings.check(empty, "RFC 9110 9.3.2", || {
            format!("HEAD {url}: {}", head.status)
        });
        Ok(())
    }

    fn playlist_type(&mut self, answer: &Answer, url: &str) {
        let kind = answer.header("content-type");
        let right = ["application/vnd.apple.mpegurl", "audio/mpegurl"].contains(&kind);
        self.findings
            .check(right, "4", || format!("{url} has type {kind:?}"));
    }

    fn cross_origin(&mut self, answer: &Answer, url: &str) {
        let allowed = answer.header("access-control-allow-origin") == "*";
        self.findings
            .check(allowed, "CORS", || format!("{url}: {:?}", answer.headers));
    }

    /// Queries that are wrong, or too far ahead.
    async fn queries(&mut self) -> Result<()> {
        for (query, why) in [
            ("_HLS_part=0", "_HLS_part without _HLS_msn"),
            ("_HLS_msn=x", "no number"),
            ("_HLS_msn=1&_HLS_msn=2", "twice"),
            ("_HLS_msn=18446744073709551615", "no such segment for ages"),
        ] {
            let status = self.viewer.ask(query).await?.status;
            self.findings
                .check(status == StatusCode::BAD_REQUEST, "6.2.5", || {
                    format!("{query} ({why}) was answered with {status}")
                });
        }
        let playlist = self.viewer.load("").await?;
        // Three ahead, and one for a segment that ends meanwhile.
        let far = playlist.segments.last().map_or(0, |segment| segment.msn) + 4;
        let status = self.viewer.ask(&format!("_HLS_msn={far}")).await?.status;
        self.findings
            .check(status == StatusCode::BAD_REQUEST, "6.2.5.2", || {
                format!("segment {far}, more than two ahead, was answered with {status}")
            });
        let other = self.viewer.ask("token=x&_other=1").await?.status;
        self.findings.check(other == StatusCode::OK, "6.2.5", || {
            format!("a foreign parameter was answered with {other}")
        });
        Ok(())
    }

    /// A delta update is the full playlist without its start (§6.2.5.1).
    async fn delta_updates(&mut self) -> Result<()> {
        for skip in ["YES", "v2"] {
            // Asked for the same moment, both have the same content.
            let (msn, part) = self
                .viewer
                .load("")
                .await?
                .last_part()
                .context("no parts")?;
            let at = format!("_HLS_msn={msn}&_HLS_part={part}");
            let delta_query = format!("{at}&_HLS_skip={skip}");
            let (full, delta) = tokio::join!(self.viewer.load(&at), self.viewer.load(&delta_query));
            let (full, delta) = (full?, delta?);
            let target = full.target_duration.map_or(0.0, f64::from);
            let skipped = delta.skipped.unwrap_or(0);
            let long = full.duration() > 7.0 * target;
            self.findings.check(!long || skipped > 0, "6.2.5.1", || {
                format!("_HLS_skip={skip} skipped nothing of {} s", full.duration())
            });
            let kept: f64 = delta.duration();
            self.findings.check(
                skipped == 0 || kept >= 6.0 * target - 0.01,
                "6.2.5.1",
                || {
                    format!(
                        "a delta of {kept} s skips what is newer than six targets of {target} s"
                    )
                },
            );
            for segment in &delta.segments {
                let Some(whole) = full.segments.iter().find(|whole| whole.msn == segment.msn)
                else {
                    continue;
                };
                let same = whole.uri.is_none()
                    || segment.uri.is_none()
                    || (whole.uri == segment.uri && whole.date == segment.date);
                self.findings.check(same, "6.2.5.1", || {
                    format!(
                        "segment {} of the delta differs: {segment:?} and {whole:?}",
                        segment.msn
                    )
                });
            }
            let same_start = delta.media_sequence == full.media_sequence;
            self.findings.check(same_start, "6.2.5.1", || {
                "a delta starts elsewhere".to_owned()
            });
        }
        Ok(())
    }

    /// A reload is held until the playlist has what it asks for (§6.2.5.2).
    async fn blocking(&mut self) -> Result<()> {
        for _ in 0..4 {
            let (msn, part) = self
                .viewer
                .load("")
                .await?
                .last_part()
                .context("no parts")?;
            let next = format!("_HLS_msn={msn}&_HLS_part={}", part + 1);
            let held = self.viewer.load(&next).await?;
            let got = held.last_part().context("no parts")?;
            self.findings.check(got > (msn, part), "6.2.5.2", || {
                format!("asked for {msn}.{}, was given up to {got:?}", part + 1)
            });
        }
        let last = self
            .viewer
            .load("")
            .await?
            .last_msn()
            .context("no segments")?;
        let next = self.viewer.load(&format!("_HLS_msn={}", last + 1)).await?;
        self.findings
            .check(next.last_msn() >= Some(last + 1), "6.2.5.2", || {
                format!(
                    "asked for segment {}, was given up to {:?}",
                    last + 1,
                    next.last_msn()
                )
            });
        Ok(())
    }

    /// A part past a segment's last one means part 0 of the next (§6.2.5.2).
    async fn part_past_the_end(&mut self) -> Result<()> {
        let playlist = self.viewer.load("").await?;
        let segment = playlist.whole().next_back().context("no segments")?;
        ensure!(!segment.parts.is_empty(), "the last segment lists no parts");
        let query = format!("_HLS_msn={}&_HLS_part={}", segment.msn, segment.parts.len());
        let answer = self.viewer.load(&query).await?;
        let newest = answer.last_part();
        self.findings
            .check(newest >= Some((segment.msn + 1, 0)), "6.2.5.2", || {
                format!("{query} is part 0 of the next, but the newest is {newest:?}")
            });
        Ok(())
    }

    /// What is hinted can be asked for ahead and is then listed (§4.4.5.3, §6.2.2).
    async fn hint(&mut self) -> Result<()> {
        for _ in 0..6 {
            let playlist = self.viewer.load("").await?;
            let hint = playlist.preload_hint.clone().context("no hint")?;
            let answer = self.viewer.object(&hint).await?;
            let after = self.viewer.load("").await?;
            let listed = after.segments.iter().flat_map(|segment| &segment.parts);
            let came = listed.clone().any(|part| part.uri == hint);
            // A publisher may end a segment early; then another part comes. That is rare.
            self.findings.check(came, "6.2.2", || {
                format!("{hint} was hinted and never listed")
            });
            self.findings.check(!answer.body.is_empty(), "4.4.5.3", || {
                format!("{hint} is empty")
            });
        }
        Ok(())
    }

    /// The bytes behind the playlist: types, caches, ranges, parts that make up their segment.
    async fn objects(&mut self) -> Result<()> {
        let playlist = self.viewer.load("").await?;
        let segment = playlist.whole().next_back().context("no segments")?.clone();
        let uri = segment.uri.clone().unwrap_or_default();
        let whole = self.viewer.object(&uri).await?;
        let map = segment.map.clone().unwrap_or_default();
        let init = self.viewer.object(&map).await?;
        for (uri, answer) in [(&uri, &whole), (&map, &init)] {
            let kind = answer.header("content-type");
            let right = ["video/mp4", "audio/mp4", "video/iso.segment"].contains(&kind);
            self.findings
                .check(right, "3.1.2", || format!("{uri} has type {kind:?}"));
            let immutable = answer.header("cache-control").contains("immutable");
            self.findings.check(immutable, "design §2", || {
                format!("{uri} is not immutable")
            });
            self.cross_origin(answer, uri);
        }
        let mut joined = Vec::new();
        for part in &segment.parts {
            joined.extend_from_slice(&self.viewer.object(&part.uri).await?.body);
        }
        let same = segment.parts.is_empty() || joined == whole.body;
        self.findings.check(same, "4.4.4.9", || {
            format!("the parts of {uri} make up other bytes")
        });
        let url = self.viewer.url(&uri)?;
        let client = self.viewer.client().clone();
        let head = http::request(&client, Method::HEAD, &url, &[]).await?;
        let length = whole.body.len().to_string();
        let agrees = head.status == StatusCode::OK && head.header("content-length") == length;
        self.findings.check(agrees, "RFC 9110 9.3.2", || {
            format!("HEAD {url}: {:?}", head.headers)
        });
        let range = http::request(&client, Method::GET, &url, &[("range", "bytes=10-19")]).await?;
        let right = range.status == StatusCode::PARTIAL_CONTENT && range.body == whole.body[10..20];
        self.findings.check(right, "RFC 9110 14", || {
            format!("bytes 10-19 of {url}: {}", range.status)
        });
        for missing in ["999999/1.m4s", "../../../x", "1/999999999.m4s", "1/01.m4s"] {
            let url = self.viewer.url(&format!("../../{missing}"))?;
            let status = http::get(&client, &url).await?.status;
            self.findings
                .check(status == StatusCode::NOT_FOUND, "RFC 9110 15.5.5", || {
                    format!("{url} was answered with {status}")
                });
        }
        Ok(())
    }

    /// Digests are those of the bytes (design §3).
    async fn digests(&mut self) -> Result<()> {
        let playlist = self.viewer.load("").await?;
        for segment in playlist.whole().rev().take(2) {
            let bytes = self
                .viewer
                .object(segment.uri.as_deref().unwrap_or_default())
                .await?
                .body;
            let digest = Some(hex::encode(Sha256::digest(&bytes)));
            self.findings
                .check(segment.sha256 == digest, "design §3", || {
                    format!("segment {} has another digest", segment.msn)
                });
        }
        Ok(())
    }

    async fn succession(&mut self, flavour: Flavour) -> Result<()> {
        let mut succession = Succession::default();
        for _ in 0..RELOADS {
            let playlist = self.viewer.load("").await?;
            check_snapshot(&playlist, flavour, &mut self.findings);
            succession.push(playlist, &mut self.findings);
            sleep(Duration::from_millis(400)).await;
        }
        Ok(())
    }

    /// What a client may have learned of stays for a while (§6.2.2).
    async fn removed_stay(&mut self, watched: &MediaPlaylist) -> Result<()> {
        let now = self.viewer.load("").await?;
        let removed = watched
            .whole()
            .filter(|segment| segment.msn < now.media_sequence);
        for segment in removed {
            let url = self
                .viewer
                .url(segment.uri.as_deref().unwrap_or_default())?;
            let status = http::get(self.viewer.client(), &url).await?.status;
            self.findings.check(status == StatusCode::OK, "6.2.2", || {
                format!(
                    "segment {}, just removed, was answered with {status}",
                    segment.msn
                )
            });
        }
        Ok(())
    }
}
