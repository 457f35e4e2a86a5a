//! A viewer that looks at every picture: how late it comes, and how soon the first.

use std::{io::Read, time::Instant};

use anyhow::{Result, bail};
use media::{Packet, TrackKind};
use rtmp::session::{ClientEvent, Role};

use super::{
    content, http,
    publisher::Sent,
    target::{Rtmp, Target},
};

/// What one viewer saw.
pub(super) struct Seen {
    /// Milliseconds from the publisher's write to our read, of pictures written after we joined.
    pub(super) delays: Vec<f64>,
    /// Milliseconds from connecting to the first whole keyframe.
    pub(super) join: Option<f64>,
    /// Pictures that nobody sent.
    pub(super) unknown: usize,
}

struct Observer<'a> {
    sent: &'a Sent,
    joined: Instant,
    seen: Seen,
}

/// Watches until `end`.
pub(super) fn observe(target: &Target, sent: &Sent, end: Instant) -> Result<Seen> {
    let mut observer = Observer {
        sent,
        joined: Instant::now(),
        seen: Seen {
            delays: Vec::new(),
            join: None,
            unknown: 0,
        },
    };
    match target {
        Target::HttpFlv { port, path } => observer.http_flv(*port, path, end)?,
        Target::Rtmp(rtmp) => observer.rtmp(rtmp, end)?,
    }
    Ok(observer.seen)
}

impl Observer<'_> {
    fn http_flv(&mut self, port: u16, path: &str, end: Instant) -> Result<()> {
        let (mut stream, received) = http::open(port, path)?;
        let (mut body, mut reader) = (http::Dechunker::default(), flv::Reader::new());
        body.push(&received, |bytes| reader.push(bytes))?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            while let Some(tag) = reader.next_tag()? {
                if let Some(picture) = content::picture(&tag) {
                    let keyframe = tag.body.first().is_some_and(|first| first >> 4 == 1);
                    self.picture(picture, keyframe);
                }
            }
            if Instant::now() >= end {
                return Ok(());
            }
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                bail!("HTTP-FLV ended");
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            body.push(bytes, |bytes| reader.push(bytes))?;
        }
    }

    fn rtmp(&mut self, rtmp: &Rtmp, end: Instant) -> Result<()> {
        let (mut stream, mut client) = rtmp.open(Role::Play)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            while let Some(event) = client.poll_event() {
                match event {
                    ClientEvent::Packet(Packet::Sample(sample))
                        if sample.track == TrackKind::Video =>
                    {
                        self.picture(&sample.payload, sample.keyframe);
                    }
                    ClientEvent::Finished => bail!("RTMP play ended"),
                    _ => {}
                }
            }
            if Instant::now() >= end {
                return Ok(());
            }
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                bail!("RTMP play was closed");
            }
            client.receive(buffer.get(..read).unwrap_or_default())?;
        }
    }

    fn picture(&mut self, picture: &[u8], keyframe: bool) {
        let now = Instant::now();
        if keyframe && self.seen.join.is_none() {
            self.seen.join = Some((now - self.joined).as_secs_f64() * 1000.0);
        }
        match self.sent.at(content::hash(picture)) {
            Some(sent) if sent >= self.joined => {
                self.seen.delays.push((now - sent).as_secs_f64() * 1000.0);
            }
            Some(_) => {}
            None => self.seen.unknown += 1,
        }
    }
}
