//! A player's session: the multivariant opened, its media playlist at hand.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode, Url};

use super::MediaPlaylist;
use crate::http::{self, Answer};

/// A session on one of a stream's two playlists.
#[derive(Debug, Clone)]
pub struct Viewer {
    client: Client,
    /// The multivariant's text.
    pub multivariant: String,
    /// The media playlist's URL.
    pub playlist: Url,
}

impl Viewer {
    /// Opens a multivariant at `url`.
    pub async fn open(url: &str) -> Result<Self> {
        let client = http::client()?;
        let answer = http::fetch(&client, url).await?;
        let multivariant = answer.text();
        let uri = multivariant
            .lines()
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .with_context(|| format!("no media playlist in {multivariant}"))?;
        let playlist = Url::parse(url)?.join(uri)?;
        Ok(Self {
            client,
            multivariant,
            playlist,
        })
    }

    /// The client, for other requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The URL of something that a playlist names.
    pub fn url(&self, uri: &str) -> Result<String> {
        Ok(self.playlist.join(uri)?.to_string())
    }

    /// The media playlist's URL with a query.
    pub fn playlist_url(&self, query: &str) -> String {
        if query.is_empty() {
            self.playlist.to_string()
        } else {
            format!("{}?{query}", self.playlist)
        }
    }

    /// What the server answers on the media playlist.
    pub async fn ask(&self, query: &str) -> Result<Answer> {
        http::get(&self.client, &self.playlist_url(query)).await
    }

    /// The media playlist, which must be there.
    pub async fn load(&self, query: &str) -> Result<MediaPlaylist> {
        let answer = self.ask(query).await?;
        ensure!(
            answer.status == StatusCode::OK,
            "{}: {} {}",
            self.playlist_url(query),
            answer.status,
            answer.text()
        );
        let text = answer.text();
        MediaPlaylist::parse(&text).with_context(|| format!("read\n{text}"))
    }

    /// Something that a playlist names, which must be there.
    pub async fn object(&self, uri: &str) -> Result<Answer> {
        http::fetch(&self.client, &self.url(uri)?).await
    }
}
