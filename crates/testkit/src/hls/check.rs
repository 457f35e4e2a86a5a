//! The server's duties that playlists alone show (RFC 8216bis §4, §6.2.1, §6.2.2).

use super::{MediaPlaylist, Part, Segment};

/// Rounding of decimal seconds.
const EPSILON: f64 = 0.000_5;

/// Which of our playlists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// `index.m3u8`.
    LowLatency,
    /// `friends.m3u8`.
    Friends,
}

/// Violations found, each with its section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<String>);

impl Findings {
    /// Notes `section: what` unless `holds`.
    pub fn check(&mut self, holds: bool, section: &str, what: impl FnOnce() -> String) {
        if !holds {
            let finding = format!("§{section}: {}", what());
            // A lasting fault would stand there once a reload.
            if !self.0.contains(&finding) {
                self.0.push(finding);
            }
        }
    }
}

/// What one multivariant playlist must be.
pub fn check_multivariant(text: &str, findings: &mut Findings) {
    let line = text
        .lines()
        .find(|line| line.starts_with("#EXT-X-STREAM-INF:"))
        .unwrap_or("");
    findings.check(text.starts_with("#EXTM3U\n"), "4.4.1.1", || {
        format!("no EXTM3U first: {text}")
    });
    findings.check(!line.is_empty(), "4.4.6.2", || {
        "no EXT-X-STREAM-INF".to_owned()
    });
    findings.check(line.contains("BANDWIDTH="), "4.4.6.2", || {
        "no BANDWIDTH".to_owned()
    });
    findings.check(line.contains("CODECS=\""), "4.4.6.2", || {
        "no CODECS".to_owned()
    });
    for media_tag in ["#EXTINF", "#EXT-X-TARGETDURATION", "#EXT-X-PART"] {
        findings.check(!text.contains(media_tag), "4.1", || {
            format!("{media_tag} in a multivariant playlist")
        });
    }
}

/// What one media playlist must be.
pub fn check_snapshot(playlist: &MediaPlaylist, flavour: Flavour, findings: &mut Findings) {
    let target = playlist.target_duration.map_or(0.0, f64::from);
    findings.check(target > 0.0, "4.4.3.1", || {
        "no EXT-X-TARGETDURATION".to_owned()
    });
    for segment in playlist.whole() {
        let (msn, duration) = (segment.msn, segment.duration);
        findings.check(duration.round() <= target, "4.4.3.1", || {
            format!("segment {msn} of {duration} s is longer than the target of {target} s")
        });
        findings.check(segment.map.is_some(), "4.4.4.5", || {
            format!("segment {msn}, fragmented MP4, has no EXT-X-MAP")
        });
        findings.check(
            segment.date.is_some() || playlist.skipped.is_some(),
            "4.4.4.6",
            || format!("segment {msn} has no EXT-X-PROGRAM-DATE-TIME (design §2)"),
        );
    }
    check_dates(playlist, findings);
    if !playlist.ended {
        let listed = playlist.duration() + playlist.skipped.unwrap_or(0) as f64 * target;
        let full = playlist.media_sequence > 0;
        findings.check(!full || listed >= 3.0 * target - EPSILON, "6.2.2", || {
            format!("only {listed} s are listed, less than three target durations of {target} s")
        });
    }
    match flavour {
        Flavour::LowLatency => check_low_latency(playlist, target, findings),
        Flavour::Friends => check_friends(playlist, findings),
    }
}

/// Dates advance as the segments do, but over a discontinuity.
fn check_dates(playlist: &MediaPlaylist, findings: &mut Findings) {
    for (one, next) in playlist
        .segments
        .iter()
        .zip(playlist.segments.iter().skip(1))
    {
        let (Some(from), Some(to)) = (one.date, next.date) else {
            continue;
        };
        let step = (to - from).as_seconds_f64();
        let fits = (step - one.duration).abs() < 0.1;
        findings.check(next.discontinuity || fits, "4.4.4.6", || {
            format!(
                "segment {} of {} s is followed by a date {step} s later",
                one.msn, one.duration
            )
        });
    }
}

fn check_low_latency(playlist: &MediaPlaylist, target: f64, findings: &mut Findings) {
    let control = playlist.server_control.clone().unwrap_or_default();
    let part_target = playlist.part_target.unwrap_or(0.0);
    findings.check(
        playlist.version.is_some_and(|version| version >= 9),
        "8",
        || format!("version {:?} has no EXT-X-SKIP", playlist.version),
    );
    findings.check(part_target > 0.0, "4.4.3.7", || {
        "parts without EXT-X-PART-INF".to_owned()
    });
    findings.check(control.can_block_reload, "B.1", || {
        "no CAN-BLOCK-RELOAD=YES".to_owned()
    });
    findings.check(
        control
            .can_skip_until
            .is_some_and(|until| until >= 6.0 * target),
        "4.4.3.8",
        || {
            format!(
                "CAN-SKIP-UNTIL={:?} is less than six targets of {target}",
                control.can_skip_until
            )
        },
    );
    findings.check(
        control.hold_back.is_none_or(|back| back >= 3.0 * target),
        "4.4.3.8",
        || {
            format!(
                "HOLD-BACK={:?} is less than three targets of {target}",
                control.hold_back
            )
        },
    );
    let part_back = control.part_hold_back.unwrap_or(0.0);
    findings.check(part_back >= 3.0 * part_target - EPSILON, "4.4.3.8", || {
        format!("PART-HOLD-BACK={part_back} is less than three parts of {part_target}")
    });
    for segment in &playlist.segments {
        check_parts(segment, part_target, findings);
    }
    check_parts_are_kept(playlist, target, findings);
    findings.check(
        playlist.ended || playlist.preload_hint.is_some(),
        "B.1",
        || "no EXT-X-PRELOAD-HINT".to_owned(),
    );
    findings.check(
        !playlist.ended || playlist.preload_hint.is_none(),
        "4.4.5.3",
        || "a hint after the end".to_owned(),
    );
    let listed = playlist.segments.iter().flat_map(|segment| &segment.parts);
    let hint = playlist.preload_hint.as_deref();
    for Part { uri, .. } in listed {
        findings.check(Some(uri.as_str()) != hint, "4.4.5.3", || {
            format!("{uri} is listed and hinted")
        });
    }
}

fn check_parts(segment: &Segment, part_target: f64, findings: &mut Findings) {
    let last = segment.parts.len().saturating_sub(1);
    for (index, part) in segment.parts.iter().enumerate() {
        let (msn, duration) = (segment.msn, part.duration);
        findings.check(duration <= part_target + EPSILON, "4.4.4.9", || {
            format!(
                "part {msn}.{index} of {duration} s is longer than the target of {part_target} s"
            )
        });
        // The last of an unfinished segment may or may not be its last.
        let may_be_short = index == last;
        let long_enough = duration >= 0.85 * part_target - EPSILON;
        findings.check(may_be_short || long_enough, "4.4.3.7", || {
            format!("part {msn}.{index} of {duration} s is shorter than 85 % of {part_target} s")
        });
    }
    if segment.uri.is_some() && !segment.parts.is_empty() {
        let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
        findings.check((sum - segment.duration).abs() < 0.01, "4.4.4.9", || {
            format!(
                "segment {} of {} s has parts of {sum} s",
                segment.msn, segment.duration
            )
        });
    }
}

/// Parts stay listed for three target durations before the end (§6.2.2).
fn check_parts_are_kept(playlist: &MediaPlaylist, target: f64, findings: &mut Findings) {
    let mut from_end = 0.0;
    for segment in playlist.segments.iter().rev() {
        let duration = if segment.uri.is_some() {
            segment.duration
        } else {
            segment.parts.iter().map(|part| part.duration).sum()
        };
        from_end += duration;
        if from_end < 3.0 * target && !playlist.ended && segment.duration > 0.0 {
            findings.check(!segment.parts.is_empty(), "6.2.2", || {
                format!("segment {} near the end lists no parts", segment.msn)
            });
        }
    }
}

fn check_friends(playlist: &MediaPlaylist, findings: &mut Findings) {
    let control = playlist.server_control.clone().unwrap_or_default();
    let plain = playlist.part_target.is_none()
        && playlist.preload_hint.is_none()
        && !control.can_block_reload
        && control.can_skip_until.is_none()
        && playlist
            .segments
            .iter()
            .all(|segment| segment.parts.is_empty());
    findings.check(plain, "design §2", || {
        "low latency in friends.m3u8".to_owned()
    });
    for segment in &playlist.segments {
        let hex = segment.sha256.as_deref().unwrap_or("");
        findings.check(hex.len() == 64, "design §3", || {
            format!("segment {} has no digest", segment.msn)
        });
    }
}

/// What must hold from one reload to the next (§6.2.1, §6.2.2).
#[derive(Debug, Default)]
pub struct Succession {
    last: Option<MediaPlaylist>,
}

impl Succession {
    /// Takes the next full playlist.
    pub fn push(&mut self, playlist: MediaPlaylist, findings: &mut Findings) {
        if let Some(before) = &self.last {
            compare(before, &playlist, findings);
        }
        self.last = Some(playlist);
    }
}

fn compare(before: &MediaPlaylist, now: &MediaPlaylist, findings: &mut Findings) {
    findings.check(
        before.target_duration == now.target_duration,
        "6.2.1",
        || {
            format!(
                "the target duration went from {:?} to {:?}",
                before.target_duration, now.target_duration
            )
        },
    );
    findings.check(before.part_target == now.part_target, "4.4.3.7", || {
        format!(
            "the part target went from {:?} to {:?}",
            before.part_target, now.part_target
        )
    });
    findings.check(now.media_sequence >= before.media_sequence, "6.2.2", || {
        format!(
            "the media sequence went back from {} to {}",
            before.media_sequence, now.media_sequence
        )
    });
    findings.check(!before.ended || now == before, "6.2.1", || {
        "it changed after its end".to_owned()
    });
    let removed = before
        .segments
        .iter()
        .filter(|segment| segment.msn < now.media_sequence);
    let gone = removed.filter(|segment| segment.discontinuity).count() as u64;
    // A discontinuity before the first segment may be counted at once or when the segment goes.
    let least = before.discontinuity_sequence + gone;
    findings.check(now.discontinuity_sequence == least, "6.2.2", || {
        format!(
            "EXT-X-DISCONTINUITY-SEQUENCE is {}, after {} and {gone} removed discontinuities",
            now.discontinuity_sequence, before.discontinuity_sequence
        )
    });
    for old in &before.segments {
        let Some(new) = now.segments.iter().find(|segment| segment.msn == old.msn) else {
            continue;
        };
        let same = old.uri.is_none()
            || (old.uri == new.uri
                && (old.duration - new.duration).abs() < EPSILON
                && old.discontinuity == new.discontinuity
                && old.map == new.map
                && old.date == new.date);
        findings.check(same, "6.2.1", || format!("segment {} changed", old.msn));
        let parts_kept = new.parts.is_empty() || new.parts.starts_with(&old.parts);
        findings.check(parts_kept, "6.2.1", || {
            format!("parts of segment {} changed", old.msn)
        });
    }
    let newest =
        |playlist: &MediaPlaylist| playlist.segments.last().map_or(0, |segment| segment.msn);
    findings.check(newest(now) >= newest(before), "6.2.1", || {
        format!(
            "segments at the end were taken back: {} to {}",
            newest(before),
            newest(now)
        )
    });
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
