//! What real encoders made, through our muxer, into a real demuxer and decoder.
//!
//! ffmpeg writes an MP4; ffprobe tells where its samples lie; their times are rounded to milliseconds
//! as RTMP would; we cut fragments of ten frames; ffmpeg must decode them without a word.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, path::Path, process::Command};

use bytes::Bytes;
use fmp4::{TrackClock, fragment, init_segment};
use media::{AudioCodec, AudioConfig, Sample, TrackKind, VideoCodec, VideoConfig};
use types::MediaTime;

struct Clip {
    video: VideoConfig,
    audio: AudioConfig,
    samples: Vec<Sample>,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program} {arguments:?}: {complaints}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The content of the first box of `kind`, wherever it lies.
fn find_box(file: &[u8], kind: [u8; 4]) -> Bytes {
    let at = file.windows(4).position(|bytes| *bytes == kind).unwrap();
    let size = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
    Bytes::copy_from_slice(&file[at + 4..at - 4 + size])
}

fn audio_config(file: &[u8], codec: AudioCodec) -> AudioConfig {
    let record = match codec {
        AudioCodec::Aac => {
            let descriptors = find_box(file, *b"esds");
            let tag = descriptors
                .windows(4)
                .position(|b| b == b"\x05\x80\x80\x80");
            let at = tag.unwrap() + 4;
            let length = usize::from(descriptors[at]);
            descriptors.slice(at + 1..at + 1 + length)
        }
        AudioCodec::Opus => Bytes::from_static(b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"),
    };
    AudioConfig::parse(codec, record).unwrap()
}

/// Three seconds of test picture and tone.
fn clip(folder: &Path, video: (VideoCodec, &[&str]), audio: (AudioCodec, &[&str])) -> Clip {
    let path = folder.join("source.mp4");
    let path = path.to_str().unwrap();
    let mut arguments = vec!["-v", "error", "-y", "-f", "lavfi", "-i"];
    arguments.extend(["testsrc2=s=320x180:r=30000/1001", "-f", "lavfi", "-i"]);
    arguments.extend(["sine=r=48000", "-t", "3", "-pix_fmt", "yuv420p", "-g", "60"]);
    arguments.extend(video.1.iter().chain(audio.1));
    arguments.extend(["-ac", "2", path]);
    run("ffmpeg", &arguments);
    let file = fs::read(path).unwrap();
    let record = match video.0 {
        VideoCodec::H264 => *b"avcC",
        VideoCodec::H265 => *b"hvcC",
        VideoCodec::Av1 => *b"av1C",
    };
    let entries = "packet=stream_index,pts_time,dts_time,size,pos,flags";
    let packets = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            entries,
            "-of",
            "compact=p=0",
            path,
        ],
    );
    let mut samples: Vec<_> = packets
        .lines()
        .filter(|line| line.contains("pos="))
        .map(|line| sample(line, &file))
        .collect();
    samples.sort_by_key(|sample| sample.decode_time);
    Clip {
        video: VideoConfig::parse(video.0, find_box(&file, record)).unwrap(),
        audio: audio_config(&file, audio.0),
        samples,
    }
}

fn sample(line: &str, file: &[u8]) -> Sample {
    let field = |name: &str| {
        let fields = line.split('|').filter_map(|field| field.split_once('='));
        fields.into_iter().find(|(key, _)| *key == name).unwrap().1
    };
    let millis = |name| {
        let seconds: f64 = field(name).parse().unwrap();
        MediaTime::from_millis((seconds * 1000.0).round() as i64)
    };
    let start: usize = field("pos").parse().unwrap();
    let size: usize = field("size").parse().unwrap();
    Sample {
        track: if field("stream_index") == "0" {
            TrackKind::Video
        } else {
            TrackKind::Audio
        },
        decode_time: millis("dts_time"),
        composition_offset: millis("pts_time").saturating_sub(millis("dts_time")),
        keyframe: field("flags").starts_with('K'),
        payload: Bytes::copy_from_slice(&file[start..start + size]),
    }
}

/// Init segment and fragments of ten pictures with the sound up to the next picture.
fn mux(clip: &Clip) -> Vec<u8> {
    let origin = clip.samples.first().unwrap().decode_time;
    let mut video_clock = TrackClock::video(origin);
    let mut audio_clock = TrackClock::audio(&clip.audio, origin);
    let mut file = init_segment(Some(&clip.video), Some(&clip.audio))
        .unwrap()
        .to_vec();
    let of = |track| {
        clip.samples
            .iter()
            .filter(move |s| s.track == track)
            .cloned()
    };
    let video: Vec<_> = of(TrackKind::Video).collect();
    let mut audio = of(TrackKind::Audio).peekable();
    let parts: Vec<_> = video.chunks(10).collect();
    for (index, part) in parts.iter().enumerate() {
        let next = parts.get(index + 1).and_then(|part| part.first());
        let end = next.map_or(MediaTime::from_millis(99_999), |next| next.decode_time);
        let sound: Vec<_> = std::iter::from_fn(|| audio.next_if(|s| s.decode_time < end)).collect();
        let last = part.last().unwrap().decode_time;
        let end = end.min(last.saturating_add(MediaTime::from_millis(33)));
        let runs = [video_clock.place(part, end), audio_clock.place(&sound, end)];
        file.extend_from_slice(&fragment(index as u32 + 1, &runs));
    }
    file
}

/// Decodes every picture and sound; ffmpeg must have nothing to remark.
fn check(clip: &Clip, codecs: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.mp4");
    fs::write(&path, mux(clip)).unwrap();
    let path = path.to_str().unwrap();
    run(
        "ffmpeg",
        &["-v", "warning", "-xerror", "-i", path, "-f", "null", "-"],
    );
    let entries = "stream=codec_name,nb_read_packets";
    let streams = run(
        "ffprobe",
        &[
            "-v",
            "warning",
            "-count_packets",
            "-show_entries",
            entries,
            "-of",
            "csv=p=0",
            path,
        ],
    );
    let count = |track| clip.samples.iter().filter(|s| s.track == track).count();
    let (video, audio) = codecs.split_once(' ').unwrap();
    let expected = format!(
        "{video},{}\n{audio},{}\n",
        count(TrackKind::Video),
        count(TrackKind::Audio)
    );
    assert_eq!(streams, expected);
}

const AAC: (AudioCodec, &[&str]) = (AudioCodec::Aac, &["-c:a", "aac"]);
const OPUS: (AudioCodec, &[&str]) = (AudioCodec::Opus, &["-c:a", "libopus"]);

#[test]
fn h264_with_b_frames_and_aac_decode_silently() {
    let folder = tempfile::tempdir().unwrap();
    let video: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-bf", "3"];
    let clip = clip(folder.path(), (VideoCodec::H264, video), AAC);
    assert!(
        clip.samples
            .iter()
            .any(|s| s.composition_offset > MediaTime::ZERO)
    );
    check(&clip, "h264 aac");
}

#[test]
fn h265_and_opus_decode_silently() {
    let folder = tempfile::tempdir().unwrap();
    let video: &[&str] = &[
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-tag:v",
        "hvc1",
        "-x265-params",
        "log-level=error",
    ];
    let clip = clip(folder.path(), (VideoCodec::H265, video), OPUS);
    check(&clip, "hevc opus");
}

#[test]
fn av1_decodes_silently() {
    let folder = tempfile::tempdir().unwrap();
    let video: &[&str] = &["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime"];
    let clip = clip(folder.path(), (VideoCodec::Av1, video), OPUS);
    check(&clip, "av1 opus");
}
