//! Nonsense on every port, beside a stream that goes on.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::{BufMut, BytesMut};
use rtmp::{MessageHeader, chunk};
use testkit::{Fixture, FlvViewer, Sandbox, handshake, http, largest_gap, open_publisher};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::support::{SOON, flv_path, live, scenario};

/// Bytes that look random and are the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length);
    for _ in 0..length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push(state as u8);
    }
    bytes
}

/// Publishes nonsense with a good key: truncated tags, wrong records, unknown codecs.
async fn nonsense_published(sandbox: &Sandbox, key: &str) -> Result<()> {
    let bodies: &[&[u8]] = &[
        &[],
        &[0x17],
        &[0x17, 0, 0, 0, 0],
        &[0x17, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0x17, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x27, 1, 0, 0, 0],
        &[0x12, 0],
        &[0x90, b'x', b'x', b'x', b'x', 1, 2],
        &[0x90, b'h', b'v', b'c', b'1', 1],
        &[0x90, b'a', b'v', b'0', b'1', 0xff],
        &[0x96, 0x0f, 0xff, 0xff],
        &[0xaf, 0],
        &[0xaf, 0, 0xff, 0xff, 0xff],
        &[0xaf, 1],
        &[0x9f, 0xff],
    ];
    for (index, body) in bodies.iter().enumerate() {
        let mut wire = open_publisher(sandbox.rtmp(), key).await?.ready()?;
        for type_id in [8, 9, 15, 17, 18, 20, 22, 77] {
            let header = MessageHeader {
                type_id,
                stream_id: chunk::MEDIA_STREAM,
                timestamp: index as u32,
            };
            let chunks = chunk::serialize_message_shared(
                chunk::VIDEO,
                &header,
                &[body],
                chunk::PLAY_CHUNK_SIZE,
            );
            if wire.transport.write_all(&chunks).await.is_err() {
                break;
            }
        }
        wire.client.finish();
        let _ = wire.flush().await;
        let mut rest = Vec::new();
        let _ = timeout(
            Duration::from_secs(5),
            wire.transport.read_to_end(&mut rest),
        )
        .await;
    }
    Ok(())
}

#[tokio::test]
async fn garbage_on_every_port_hurts_nobody() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario(&sandbox, async {
        let (stream, publication) = live(&sandbox, "calm", &Fixture::plain().await?).await?;
        let path = flv_path(&stream.slug);
        let mut viewer = FlvViewer::open(sandbox.playback_address(), &path).await?;
        viewer.more_frames(SOON, 10).await?;
        let mut ports = vec![sandbox.rtmp(), sandbox.playback_address(), sandbox.pages_address()];
        ports.extend(sandbox.internal());
        let patience = Duration::from_millis(50);
        let deep = [&[2, 0, 7][..], b"connect", &[0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0x0a, 0, 0, 0, 1].repeat(20_000)].concat();
        for (index, address) in ports.iter().enumerate() {
            for round in 0..6 {
                let bytes = noise((index * 100 + round) as u64, 1 << (4 + round * 2));
                http::say(*address, &bytes, patience).await?;
            }
            for text in [
                &b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n"[..],
                b"GET /live/../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
                b"GET /live/%00%ff/index.m3u8 HTTP/1.1\r\nhost: x\r\n\r\n",
                b"POST /live/calm.flv HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            ] {
                http::say(*address, text, patience).await?;
            }
        }
        for round in 0..20 {
            let mut connection = handshake(sandbox.rtmp()).await?;
            let _ = connection.write_all(&noise(round, 4096)).await;
        }
        // A command nested without end.
        let mut connection = handshake(sandbox.rtmp()).await?;
        let header = MessageHeader {
            type_id: 20,
            stream_id: 0,
            timestamp: 0,
        };
        let mut nested = BytesMut::new();
        chunk::serialize(&mut nested, chunk::COMMAND, &header, &[&deep], 128);
        nested.put_u8(0);
        let _ = connection.write_all(&nested).await;
        let noisy = sandbox.add_stream("noisy").await?;
        nonsense_published(&sandbox, &noisy.key).await?;

        viewer.more_frames(SOON, 60).await?;
        let gap = largest_gap(&viewer.frames());
        ensure!(gap <= 40, "the viewer missed {gap} ms");
        ensure!(publication.is_running(), "the publisher was cut off");
        for name in sandbox.names() {
            let log = sandbox.log(name).await?;
            ensure!(!log.contains("panicked"), "{name} panicked");
        }
        Ok(())
    })
    .await
}
