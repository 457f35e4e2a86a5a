//! What one peer may make us hold (promises D2 and D3).

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use rtmp::{MessageHeader, chunk, message_type};
use testkit::{Fixture, FlvViewer, Sandbox, Source, eventually, handshake, http, open_publisher};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::support::{SOON, flv_path, scenario, shared};

/// Three times the five seconds that handshakes and heads have.
const CUT: Duration = Duration::from_secs(15);

/// Waits until the server hangs up; answers how long that took.
async fn cut_off(mut stream: TcpStream, what: &str) -> Result<Duration> {
    let began = Instant::now();
    let mut sink = vec![0; 64 * 1024];
    let reading = async {
        // A reset is a way to hang up too.
        while stream.read(&mut sink).await.is_ok_and(|size| size > 0) {}
    };
    timeout(CUT, reading)
        .await
        .with_context(|| format!("{what} was not cut off"))?;
    Ok(began.elapsed())
}

fn message(type_id: u8, length: usize, chunk_size: usize) -> BytesMut {
    let header = MessageHeader {
        type_id,
        stream_id: chunk::MEDIA_STREAM,
        timestamp: 0,
    };
    let mut out = BytesMut::new();
    chunk::serialize(
        &mut out,
        chunk::DATA,
        &header,
        &[&vec![0; length]],
        chunk_size,
    );
    out
}

#[tokio::test]
async fn a_handshake_has_five_seconds() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let silent = TcpStream::connect(sandbox.rtmp()).await?;
        let mut half = TcpStream::connect(sandbox.rtmp()).await?;
        half.write_all(&[3; 800]).await?;
        let shaken = handshake(sandbox.rtmp()).await?;
        let (silent, half, shaken) = tokio::join!(
            cut_off(silent, "who says nothing"),
            cut_off(half, "half a handshake"),
            cut_off(shaken, "a handshake and nothing more"),
        );
        for waited in [silent?, half?, shaken?] {
            ensure!(
                waited > Duration::from_secs(3),
                "cut off after {waited:?} already"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_not_publish_yet_may_send_little() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let mut stream = handshake(sandbox.rtmp()).await?;
        // Data without end: the server stops reading or hangs up long before a mebibyte.
        let flood = message(message_type::DATA, 50_000, 128);
        let mut sent = 0;
        while sent < 8 << 20 {
            match timeout(SOON, stream.write_all(&flood)).await {
                Ok(Ok(())) => sent += flood.len(),
                _ => break,
            }
        }
        ensure!(sent < 8 << 20, "{sent} bytes were taken before any publish");
        let waited = cut_off(stream, "who floods before any publish").await?;
        ensure!(
            waited < Duration::from_secs(4),
            "it was borne for {waited:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn absurd_sizes_end_the_connection() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let control = |size: u32| {
            let header = MessageHeader {
                type_id: message_type::SET_CHUNK_SIZE,
                stream_id: 0,
                timestamp: 0,
            };
            let mut out = BytesMut::new();
            chunk::serialize(
                &mut out,
                chunk::CONTROL,
                &header,
                &[&size.to_be_bytes()],
                128,
            );
            out
        };
        // 16 MiB - 1 announced, on a publish message's chunk stream.
        let huge: &[u8] = &[6, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0, 0x17];
        let zero = control(0);
        let large = control(16 << 20);
        for (what, bytes) in [
            ("a message of 16 MiB", huge),
            ("a chunk size of zero", zero.as_ref()),
            ("a chunk size of 16 MiB", large.as_ref()),
        ] {
            let mut stream = handshake(sandbox.rtmp()).await?;
            let _ = stream.write_all(bytes).await;
            let waited = cut_off(stream, what).await?;
            ensure!(
                waited < Duration::from_secs(4),
                "{what} was borne for {waited:?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_slow_http_head_is_cut_off_and_a_slow_viewer_is_not() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        for address in [sandbox.playback_address(), sandbox.pages_address()] {
            let dribble = async {
                let mut stream = TcpStream::connect(address).await?;
                let head = b"GET /live/x/index.m3u8 HTTP/1.1\r\nhost: localhost\r\nx: ".iter();
                let began = Instant::now();
                for byte in head.chain(std::iter::repeat(&b'x')) {
                    let mut heard = [0; 256];
                    if stream.write_all(&[*byte]).await.is_err() {
                        return anyhow::Ok(began.elapsed());
                    }
                    if let Ok(read) =
                        timeout(Duration::from_millis(400), stream.read(&mut heard)).await
                    {
                        // An answer (408) or the end.
                        if read.map_or(0, |size| size) == 0 {
                            return Ok(began.elapsed());
                        }
                    }
                    ensure!(
                        began.elapsed() < CUT,
                        "{address}: a slow head was borne for {CUT:?}"
                    );
                }
                Ok(began.elapsed())
            };
            let waited = dribble.await?;
            ensure!(
                waited > Duration::from_secs(3),
                "cut off after {waited:?} already"
            );
        }
        Ok(())
    })
    .await
}

/// Opens connections until the server's descriptors are gone for sure.
async fn crowd(addresses: &[SocketAddr], count: usize) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for index in 0..count {
        let address = addresses[index % addresses.len()];
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(2), TcpStream::connect(address)).await {
            crowd.push(stream);
        }
    }
    crowd
}

#[tokio::test]
async fn a_server_without_descriptors_recovers() -> Result<()> {
    let sandbox = Sandbox::one_process().descriptors(256).start().await?;
    scenario(&sandbox, async {
        let fixture = Fixture::plain().await?;
        let first = Sandbox::first_stream();
        let publication = Source::new(&fixture)
            .publish(sandbox.rtmp(), &first.key)
            .await?;
        sandbox
            .view_until(&first.slug, SOON, |view| view.state == "live")
            .await?;
        let mut viewer =
            FlvViewer::open(sandbox.playback_address(), &flv_path(&first.slug)).await?;
        viewer.more_frames(SOON, 30).await?;
        let addresses = [
            sandbox.rtmp(),
            sandbox.playback_address(),
            sandbox.pages_address(),
        ];
        let crowd = crowd(&addresses, 400).await;
        ensure!(crowd.len() > 256, "only {} connections", crowd.len());
        sleep(Duration::from_secs(2)).await;
        // Who is there already is not hurt.
        viewer.more_frames(SOON, 60).await?;
        ensure!(publication.is_running(), "the publisher was cut off");
        drop(crowd);
        eventually(SOON, "a newcomer is served again", || async {
            let client = http::client()?;
            http::fetch(&client, &format!("{}/health/ready", sandbox.pages())).await?;
            let slug = &first.slug;
            let mut newcomer = FlvViewer::open(sandbox.playback_address(), &flv_path(slug)).await?;
            newcomer.more_frames(Duration::from_secs(5), 30).await?;
            open_publisher(sandbox.rtmp(), "a-key-that-nobody-ever-made")
                .await?
                .rejection()?;
            Ok(Some(()))
        })
        .await
    })
    .await
}
