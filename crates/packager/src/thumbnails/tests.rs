//! What programs that are not ffmpeg do to thumbnails.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::OnceLock};

use bytes::Bytes;
use delivery::{DigestKey, EpochInfo, WindowEvent};
use tempfile::TempDir;
use types::{Bitrate, Epoch, MediaTime, Msn, PartIndex};

use super::*;

const PROGRAMS: &[(&str, &str)] = &[
    // Counts its runs beside itself.
    (
        "good",
        "echo run >> \"$0.runs\"; sleep 0.3; printf RIFF; cat",
    ),
    ("deaf", "exec <&-; printf RIFF"),
    ("wordy", "printf RIFF; head -c 300000 /dev/zero"),
    ("broken", "cat > /dev/null; exit 1"),
    ("sleepy", "echo $$ > \"$0.pid\"; exec sleep 60"),
    ("curious", "printf RIFF; env"),
];

/// All written before one is run: a program that is open for writing can't be.
fn program(name: &str) -> String {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in PROGRAMS {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    });
    folder.path().join(name).display().to_string()
}

fn thumbnails(name: &str) -> Thumbnails {
    let settings = ThumbnailSettings {
        ffmpeg: Some(program(name)),
        at_once: 1,
    };
    Thumbnails::new(settings, Shutdown::new())
}

fn live() -> Arc<Stream> {
    let stream = Stream::new(StreamId::new(), "concert".parse().unwrap());
    let msn = Msn::new(0);
    let digest = DigestKey::generate().digest(stream.id(), Epoch::new(1), msn, &[b"x"]);
    for event in [
        WindowEvent::EpochOpened(EpochInfo {
            epoch: Epoch::new(1),
            first_msn: msn,
            target_duration: 2,
            part_target: MediaTime::from_millis(1000),
            codecs: vec!["avc1.64001f".to_owned()],
            resolution: Some((1280, 720)),
            frame_rate: None,
            bandwidth: Bitrate::new(1000),
            average_bandwidth: Bitrate::new(900),
        }),
        WindowEvent::Init {
            generation: 0,
            data: Bytes::from_static(b"init"),
        },
        WindowEvent::SegmentOpened {
            msn,
            init: 0,
            program_date_time_ms: 0,
            discontinuity: false,
            discontinuity_sequence: 0,
        },
        WindowEvent::Part {
            msn,
            index: PartIndex::ZERO,
            duration: MediaTime::from_millis(2000),
            independent: true,
            data: Bytes::from_static(b"part"),
        },
        WindowEvent::SegmentClosed {
            msn,
            duration: MediaTime::from_millis(2000),
            digest,
        },
    ] {
        stream.apply(&event).unwrap();
    }
    stream
}

async fn picture(name: &str) -> Result<Bytes, Failure> {
    let keyframe = live().keyframe(Duration::ZERO).await.unwrap();
    Ffmpeg::new(program(name)).picture(&keyframe).await
}

#[tokio::test]
async fn what_the_program_says_is_bounded_and_judged() {
    assert_eq!(picture("good").await.unwrap(), "RIFFinitpart");
    assert!(picture("deaf").await.is_ok(), "it may not read to the end");
    assert!(matches!(picture("wordy").await, Err(Failure::TooLarge)));
    assert!(matches!(picture("broken").await, Err(Failure::Undecodable)));
    assert!(matches!(picture("nowhere").await, Err(Failure::Missing(_))));
}

#[tokio::test]
async fn the_program_learns_nothing_of_our_environment() {
    let heard = picture("curious").await.unwrap();
    let heard = String::from_utf8(heard.to_vec()).unwrap();
    assert!(
        heard.contains("PATH=") && !heard.contains("CARGO"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_program_that_hangs_is_killed() {
    let start = Instant::now();
    assert!(matches!(picture("sleepy").await, Err(Failure::TooSlow)));
    assert!(start.elapsed() < Duration::from_secs(9));
    let pid = fs::read_to_string(program("sleepy.pid")).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    assert!(!process.exists(), "{} is left", process.display());
}

#[tokio::test]
async fn all_who_ask_share_one_picture_and_it_is_not_made_again_soon() {
    let (thumbnails, stream) = (thumbnails("good"), live());
    let runs = program("good.runs");
    let before = fs::read_to_string(&runs).map_or(0, |text| text.lines().count());
    let asked = (0..20).map(|_| thumbnails.get(&stream));
    let got = futures::future::join_all(asked).await;
    assert!(got.iter().all(Option::is_some));
    assert!(thumbnails.get(&stream).await.is_some());
    // The other test that runs it may do so in this time.
    let after = fs::read_to_string(&runs).unwrap().lines().count();
    assert!(after - before <= 2, "{before} to {after} runs");
}

#[tokio::test]
async fn a_program_that_is_missing_is_not_looked_for_again_and_again() {
    let (thumbnails, stream) = (thumbnails("nowhere"), live());
    assert!(thumbnails.get(&stream).await.is_none());
    assert!(thumbnails.0.is_missing());
    assert!(thumbnails.get(&live()).await.is_none());
    assert_eq!(thumbnails.0.slots.lock().len(), 1, "not tried");
}

#[tokio::test]
async fn one_at_a_time_in_the_whole_process() {
    let thumbnails = thumbnails("good");
    let (first, second) = (live(), live());
    let start = Instant::now();
    let (one, two) = tokio::join!(thumbnails.get(&first), thumbnails.get(&second));
    assert!(one.is_some() && two.is_some());
    assert!(
        start.elapsed() >= Duration::from_millis(600),
        "{:?}",
        start.elapsed()
    );
}
