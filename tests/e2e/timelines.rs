//! Streams of unusual shape: B-frames, wrapping timestamps, mixed chunks, long GOPs, a single track.

use anyhow::{Result, ensure};
use flv::TagKind;
use testkit::{
    Chunking, Fixture, FlvViewer, Sandbox, Source, ffmpeg,
    hls::{Follower, Viewer},
    largest_gap,
};

use crate::support::{PLAYABLE, SOON, flv_path, live, live_as, scenario, shared};

/// Every player decodes 6 s of `slug` without a complaint; the least frames and sound it must have.
async fn decodes(sandbox: &Sandbox, slug: &str, frames: u64, seconds_of_sound: u64) -> Result<()> {
    let urls = [sandbox.hls(slug), sandbox.flv(slug), sandbox.rtmp_url(slug)];
    let (hls, flv, rtmp) = tokio::join!(
        ffmpeg::decode(&urls[0], 6),
        ffmpeg::decode(&urls[1], 6),
        ffmpeg::decode(&urls[2], 6)
    );
    for (url, decoded) in urls.iter().zip([hls?, flv?, rtmp?]) {
        ensure!(
            decoded.complaints.is_empty(),
            "{url}: {:?}",
            decoded.complaints
        );
        ensure!(decoded.video >= frames, "{url}: {} frames", decoded.video);
        ensure!(
            decoded.audio >= seconds_of_sound * 48_000,
            "{url}: {} samples of sound",
            decoded.audio
        );
        ensure!(
            frames > 0 || decoded.video == 0,
            "{url}: a picture from nowhere"
        );
    }
    Ok(())
}

/// Follows HLS for `count` segments that have no discontinuity and no fault.
async fn follows(sandbox: &Sandbox, slug: &str, count: usize) -> Result<()> {
    let follower = Follower::start(&sandbox.hls(slug)).await?;
    follower.more(PLAYABLE + SOON, count).await?;
    ensure!(follower.faults().is_empty(), "{}", follower.summary());
    let broken = follower
        .segments()
        .iter()
        .skip(1)
        .any(|segment| segment.discontinuity);
    ensure!(
        !broken,
        "a discontinuity from nowhere: {}",
        follower.summary()
    );
    Ok(())
}

#[tokio::test]
async fn b_frames_play_in_their_order() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let (stream, _publication) = live(sandbox, "b-frames", &Fixture::b_frames().await?).await?;
        decodes(sandbox, &stream.slug, 170, 5).await?;
        // One server's playlist: of two that a multivariant names, both would be listed.
        let playlist = Viewer::open(&sandbox.hls(&stream.slug))
            .await?
            .playlist_url("");
        let packets = ffmpeg::packets(&playlist, 5).await?;
        let video: Vec<_> = packets
            .iter()
            .filter(|packet| packet.kind == "video")
            .collect();
        ensure!(video.len() > 60, "{} packets", video.len());
        let ahead = video
            .iter()
            .filter(|packet| packet.pts > packet.dts + 0.01)
            .count();
        ensure!(
            ahead * 5 > video.len(),
            "{ahead} of {} packets are shown later",
            video.len()
        );
        let back = video.windows(2).any(|pair| pair[1].dts <= pair[0].dts);
        ensure!(!back, "decode times went back");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn timestamps_wrap_without_a_trace() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::plain().await?;
        // It wraps 9 s after the start.
        let source = Source::new(&fixture).starting_at(u32::MAX - 9000);
        let (stream, publication) = live_as(sandbox, "wrap", &source).await?;
        let path = flv_path(&stream.slug);
        let mut viewer = FlvViewer::open(sandbox.playback_address(), &path).await?;
        let followed = follows(sandbox, &stream.slug, 8);
        let watched = viewer.more_frames(PLAYABLE, 400);
        let (followed, watched) = tokio::join!(followed, watched);
        followed?;
        watched?;
        let frames = viewer.frames();
        // Timestamps in FLV may wrap too: steps are what counts.
        let largest = frames
            .windows(2)
            .map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp))
            .max();
        ensure!(
            largest.is_some_and(|step| step <= 40),
            "a step of {largest:?} ms"
        );
        decodes(sandbox, &stream.slug, 170, 5).await?;
        ensure!(publication.is_running(), "the publisher was cut off");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn audio_chunks_inside_video_messages_are_taken_apart() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::plain().await?;
        let source = Source::new(&fixture).chunked(Chunking::Interleaved(200));
        let (stream, publication) = live_as(sandbox, "interleaved", &source).await?;
        decodes(sandbox, &stream.slug, 170, 5).await?;
        ensure!(publication.is_running(), "the publisher was cut off");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_keyframe_each_250_frames_plays() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let (stream, _publication) = live(sandbox, "long-gop", &Fixture::long_gop().await?).await?;
        let path = flv_path(&stream.slug);
        // HTTP-FLV does not wait for the next keyframe.
        let mut viewer = FlvViewer::open(sandbox.playback_address(), &path).await?;
        viewer.more_frames(SOON, 30).await?;
        ensure!(
            viewer.frames()[0].keyframe,
            "HTTP-FLV did not start at a keyframe"
        );
        let session = Viewer::open(&sandbox.hls(&stream.slug)).await?;
        let playlist = session.load("").await?;
        ensure!(
            playlist
                .target_duration
                .is_some_and(|target| (8..=9).contains(&target)),
            "the target duration is {:?}",
            playlist.target_duration
        );
        let decoded = ffmpeg::decode(&sandbox.hls(&stream.slug), 10).await?;
        ensure!(
            decoded.complaints.is_empty() && decoded.video >= 280,
            "{decoded:?}"
        );
        ensure!(
            largest_gap(&viewer.frames()) <= 40,
            "HTTP-FLV missed frames"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sound_alone_plays() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::audio_only().await?;
        let (stream, _publication) = live(sandbox, "sound", &fixture).await?;
        decodes(sandbox, &stream.slug, 0, 5).await?;
        let multivariant = Viewer::open(&sandbox.hls(&stream.slug)).await?.multivariant;
        ensure!(
            multivariant.contains("mp4a") && !multivariant.contains("avc1"),
            "{multivariant}"
        );
        follows(sandbox, &stream.slug, 3).await
    })
    .await
}

#[tokio::test]
async fn a_picture_alone_plays() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::video_only().await?;
        let (stream, _publication) = live(sandbox, "picture", &fixture).await?;
        decodes(sandbox, &stream.slug, 170, 0).await?;
        let multivariant = Viewer::open(&sandbox.hls(&stream.slug)).await?.multivariant;
        ensure!(
            multivariant.contains("avc1") && !multivariant.contains("mp4a"),
            "{multivariant}"
        );
        follows(sandbox, &stream.slug, 3).await
    })
    .await
}

#[tokio::test]
async fn sound_and_picture_stay_together() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let (stream, _publication) = live(sandbox, "together", &Fixture::plain().await?).await?;
        let path = flv_path(&stream.slug);
        let mut viewer = FlvViewer::open(sandbox.playback_address(), &path).await?;
        let follower = Follower::start(&sandbox.hls(&stream.slug)).await?;
        follower.more(PLAYABLE, 5).await?;
        viewer.more_frames(SOON, 1).await?;
        ensure!(
            !viewer.samples(TagKind::Audio).is_empty(),
            "no sound by HTTP-FLV"
        );
        for segment in follower.segments() {
            let file = tempfile::Builder::new().suffix(".mp4").tempfile()?;
            std::fs::write(file.path(), &segment.bytes)?;
            let packets = ffmpeg::packets(&file.path().display().to_string(), 60).await?;
            let first = |kind: &str| {
                packets
                    .iter()
                    .find(|packet| packet.kind == kind)
                    .map(|p| p.dts)
            };
            let (Some(video), Some(audio)) = (first("video"), first("audio")) else {
                anyhow::bail!("segment {} lacks a track", segment.msn);
            };
            // Audio is cut at the first frame at or after the video's boundary: one frame is 21 ms.
            ensure!(
                (video - audio).abs() <= 0.022 + 0.001,
                "segment {}: picture from {video}, sound from {audio}",
                segment.msn
            );
        }
        Ok(())
    })
    .await
}
