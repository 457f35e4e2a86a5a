//! Where a sandbox listens, and its URLs.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::Sandbox;
use crate::certificate::Certificate;

impl Sandbox {
    /// The URL of the pages and the API.
    pub fn pages(&self) -> String {
        format!("http://{}", self.listens.pages)
    }

    /// Where one process of several serves the world, without the balancer before them.
    pub fn origin(&self, name: &str) -> Result<String> {
        let member = self.members.iter().find(|member| member.is(name));
        let public = member.and_then(|member| member.public);
        let address = public.with_context(|| format!("{name} does not serve the world"))?;
        Ok(format!("http://{address}"))
    }

    /// The address of the pages and the API.
    pub fn pages_address(&self) -> SocketAddr {
        self.listens.pages
    }

    /// The address of playback.
    pub fn playback_address(&self) -> SocketAddr {
        self.listens.playback
    }

    /// Where RTMP is.
    pub fn rtmp(&self) -> SocketAddr {
        self.listens.rtmp
    }

    /// Where RTMPS is.
    pub fn rtmps(&self) -> SocketAddr {
        self.listens.rtmps
    }

    /// Listeners that only our own services should talk to.
    pub fn internal(&self) -> &[SocketAddr] {
        &self.listens.internal
    }

    /// The certificate of a sandbox with TLS.
    pub fn certificate(&self) -> Result<&Certificate> {
        self.certificate.as_ref().context("a sandbox without TLS")
    }

    /// The watch page.
    pub fn watch_page(&self, slug: &str) -> String {
        format!("{}/watch/{slug}", self.pages())
    }

    /// The low-latency HLS URL.
    pub fn hls(&self, slug: &str) -> String {
        format!("http://{}/live/{slug}/index.m3u8", self.listens.playback)
    }

    /// The HLS URL for peers.
    pub fn friends(&self, slug: &str) -> String {
        format!("http://{}/live/{slug}/friends.m3u8", self.listens.playback)
    }

    /// The HTTP-FLV URL.
    pub fn flv(&self, slug: &str) -> String {
        format!("http://{}/live/{slug}.flv", self.listens.playback)
    }

    /// The RTMP URL of a slug (to play) or of a key (to publish).
    pub fn rtmp_url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.listens.rtmp)
    }
}
