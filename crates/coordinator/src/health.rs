//! The health light: what is wrong with what arrives, in one sentence, and what to do about it. Pure.

use proto::coordinator::StreamHealth;
use serde::Serialize;
use utoipa::ToSchema;

use crate::history::HealthSample;

/// Samples that the light looks at: a minute's.
pub(crate) const LOOKED_AT: usize = 60;
/// Samples that "now" is.
const NOW: usize = 5;
/// Samples at the start of what is looked at that are left out.
const SETTLING: usize = 3;
/// Samples of "before" that are needed to speak of a fall.
const BEFORE: usize = 10;
/// A publisher that is silent for so long sends nothing, in milliseconds.
const SILENT_MS: u32 = 2500;
/// Viewers join late with longer groups of pictures, in milliseconds.
const LONG_GOP_MS: u32 = 4200;
/// And far too late with these.
const ENDLESS_GOP_MS: u32 = 10_000;
/// Sound and picture this far apart are noticed (ITU-R BT.1359), in milliseconds. Encoders interleave by
/// up to half a second.
const DRIFT_MS: i32 = 600;
/// This far apart they are broken.
const BROKEN_DRIFT_MS: i32 = 2500;

/// How well a stream arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// All is well.
    Good,
    /// Viewers notice, or soon will.
    Warning,
    /// It doesn't work.
    Bad,
}

/// What the light says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) level: Level,
    pub(crate) sentence: String,
    pub(crate) remedy: Option<&'static str>,
}

impl Verdict {
    fn new(level: Level, sentence: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            level,
            sentence: sentence.into(),
            remedy: Some(remedy),
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1);
    values.sum::<f64>() / count as f64
}

fn megabits(bps: f64) -> String {
    format!("{:.1}", bps / 1e6)
}

/// Judges what arrives now by the last minute, oldest sample first. The worst finding speaks.
pub(crate) fn judge(health: &StreamHealth, silent_ms: u32, minute: &[HealthSample]) -> Verdict {
    // The first seconds are no whole ones: nothing is judged by them.
    let minute = minute.get(SETTLING..).unwrap_or(&[]);
    let (before, now) = minute.split_at(minute.len().saturating_sub(NOW));
    let findings = [
        silence(silent_ms),
        bitrate(before, now),
        keyframes(health),
        frames(health, now),
        drift(now),
    ];
    let mut worst: Option<Verdict> = None;
    for finding in findings.into_iter().flatten() {
        let worse = worst
            .as_ref()
            .is_none_or(|worst| worst.level == Level::Warning && finding.level == Level::Bad);
        if worse {
            worst = Some(finding);
        }
    }
    worst.unwrap_or_else(|| {
        if health.b_frames {
            Verdict::new(
                Level::Good,
                "All is well. B-frames add a little delay.",
                "For the shortest delay set B-frames to 0 (x264: tune zerolatency); for the best picture leave them.",
            )
        } else {
            Verdict {
                level: Level::Good,
                sentence: "All is well.".to_owned(),
                remedy: None,
            }
        }
    })
}

fn silence(silent_ms: u32) -> Option<Verdict> {
    (silent_ms >= SILENT_MS).then(|| {
        Verdict::new(
            Level::Bad,
            format!("Nothing has arrived for {} s.", silent_ms / 1000),
            "Check the network of the machine that streams; OBS reconnects by itself.",
        )
    })
}

fn bitrate(before: &[HealthSample], now: &[HealthSample]) -> Option<Verdict> {
    if before.len() < BEFORE || now.len() < NOW {
        return None;
    }
    let mut usual: Vec<u64> = before.iter().map(|sample| sample.bitrate_bps).collect();
    usual.sort_unstable();
    let usual = usual.get(usual.len() / 2).copied().unwrap_or(0) as f64;
    let current = mean(now.iter().map(|sample| sample.bitrate_bps as f64));
    // A still picture needs little: what is slow to begin with can't be told from it.
    if usual < 500_000.0 || current > usual * 0.6 {
        return None;
    }
    let level = if current < usual * 0.3 {
        Level::Bad
    } else {
        Level::Warning
    };
    Some(Verdict::new(
        level,
        format!(
            "The bitrate fell to {} of the usual {} Mbit/s.",
            megabits(current),
            megabits(usual)
        ),
        "The upload is congested: use a cable, stop other uploads, or lower the bitrate in OBS.",
    ))
}

fn keyframes(health: &StreamHealth) -> Option<Verdict> {
    let level = match health.gop_ms {
        gop if gop > ENDLESS_GOP_MS => Level::Bad,
        gop if gop > LONG_GOP_MS => Level::Warning,
        _ => return None,
    };
    Some(Verdict::new(
        level,
        format!(
            "Keyframes are {:.1} s apart: viewers start late and watch further behind.",
            f64::from(health.gop_ms) / 1000.0
        ),
        "In OBS: Settings, Output, Advanced, Keyframe Interval: 2 s.",
    ))
}

fn frames(health: &StreamHealth, now: &[HealthSample]) -> Option<Verdict> {
    let promised = f64::from(health.declared_frame_rate_millihertz) / 1000.0;
    if now.len() < NOW || promised <= 0.0 {
        return None;
    }
    let arriving = mean(now.iter().map(|sample| sample.frame_rate));
    if arriving >= promised * 0.9 || arriving == 0.0 {
        return None;
    }
    let level = if arriving < promised * 0.5 {
        Level::Bad
    } else {
        Level::Warning
    };
    Some(Verdict::new(
        level,
        format!("{arriving:.0} frames a second arrive of {promised:.0}."),
        "The encoder can't keep up: choose a faster preset, a hardware encoder, or a smaller picture.",
    ))
}

fn drift(now: &[HealthSample]) -> Option<Verdict> {
    if now.len() < NOW {
        return None;
    }
    let drift = mean(now.iter().map(|sample| f64::from(sample.drift_ms)));
    let level = match drift.abs() {
        apart if apart > f64::from(BROKEN_DRIFT_MS) => Level::Bad,
        apart if apart > f64::from(DRIFT_MS) => Level::Warning,
        _ => return None,
    };
    let side = if drift > 0.0 { "ahead of" } else { "behind" };
    Some(Verdict::new(
        level,
        format!("Sound is {:.1} s {side} the picture.", drift.abs() / 1000.0),
        "In OBS: Advanced Audio Properties, Sync Offset; or restart the stream.",
    ))
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn minute(change: impl Fn(usize, &mut HealthSample)) -> Vec<HealthSample> {
        (0..LOOKED_AT)
            .map(|second| {
                let mut sample = HealthSample {
                    at: OffsetDateTime::UNIX_EPOCH,
                    bitrate_bps: 5_000_000,
                    frame_rate: 30.0,
                    gop_ms: 2000,
                    drift_ms: 20,
                    viewers: 3,
                };
                change(second, &mut sample);
                sample
            })
            .collect()
    }

    fn healthy() -> StreamHealth {
        StreamHealth {
            gop_ms: 2000,
            declared_frame_rate_millihertz: 30_000,
            ..StreamHealth::default()
        }
    }

    fn said(health: &StreamHealth, minute: &[HealthSample]) -> (Level, String) {
        let verdict = judge(health, 0, minute);
        (verdict.level, verdict.sentence)
    }

    #[test]
    fn a_stream_that_is_well_is_said_to_be() {
        let verdict = judge(&healthy(), 0, &minute(|_, _| {}));
        assert_eq!((verdict.level, verdict.remedy), (Level::Good, None));
        assert_eq!(judge(&healthy(), 0, &[]).level, Level::Good, "just started");
    }

    #[test]
    fn each_trouble_has_its_sentence() {
        let steady = minute(|_, _| {});
        let long = StreamHealth {
            gop_ms: 8333,
            ..healthy()
        };
        assert_eq!(
            said(&long, &steady),
            (
                Level::Warning,
                "Keyframes are 8.3 s apart: viewers start late and watch further behind."
                    .to_owned()
            )
        );
        let falling = minute(|second, sample| {
            if second >= 55 {
                sample.bitrate_bps = 1_000_000
            }
        });
        assert_eq!(
            said(&healthy(), &falling),
            (
                Level::Bad,
                "The bitrate fell to 1.0 of the usual 5.0 Mbit/s.".to_owned()
            )
        );
        let slow = minute(|second, sample| {
            if second >= 55 {
                sample.frame_rate = 21.0
            }
        });
        assert_eq!(
            said(&healthy(), &slow),
            (
                Level::Warning,
                "21 frames a second arrive of 30.".to_owned()
            )
        );
        let drifting = minute(|_, sample| sample.drift_ms = -900);
        assert_eq!(
            said(&healthy(), &drifting),
            (
                Level::Warning,
                "Sound is 0.9 s behind the picture.".to_owned()
            )
        );
        let b_frames = StreamHealth {
            b_frames: true,
            ..healthy()
        };
        let verdict = judge(&b_frames, 0, &steady);
        assert!(
            verdict.level == Level::Good
                && verdict.sentence.contains("B-frames")
                && verdict.remedy.is_some()
        );
        assert_eq!(judge(&healthy(), 4000, &steady).level, Level::Bad);
    }

    #[test]
    fn the_worst_speaks() {
        let falling = minute(|second, sample| {
            if second >= 55 {
                sample.bitrate_bps = 1_000_000
            }
        });
        let long = StreamHealth {
            gop_ms: 8333,
            ..healthy()
        };
        assert_eq!(said(&long, &falling).0, Level::Bad);
    }
}
