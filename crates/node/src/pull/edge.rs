//! One edge as a pull sees it: opens the session, lists digests, gives segments. Every answer is bounded.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::node::StreamWork;
use reqwest::{Client, Response, StatusCode, Url};
use types::Msn;

use crate::{
    net::chain,
    verify::{Bad, DigestList, Expected, ListedDigest},
};

/// For an answer that is not a segment.
const ANSWER: Duration = Duration::from_secs(5);
/// For a segment.
const SEGMENT: Duration = Duration::from_secs(10);
/// Digests of a whole window take a tenth.
const MAX_LIST: usize = 256 * 1024;
/// Edges that are tried; more are not needed.
const MAX_EDGES: usize = 8;

/// Why an edge is of no use now.
#[derive(Debug, thiserror::Error)]
pub(super) enum EdgeError {
    #[error("the coordinator names no edge")]
    NoEdge,
    #[error("{0} is not the address of an edge")]
    Address(String),
    #[error("edge refuses: the right to pull was taken back, or ran out")]
    Refused,
    #[error("edge does not have it")]
    Absent,
    #[error("edge answers {0}")]
    Status(StatusCode),
    #[error("edge can't be reached: {0}")]
    Unreachable(String),
    #[error("edge answers more than {0} bytes")]
    TooLong(usize),
    #[error("edge's list is malformed: {0}")]
    List(#[from] serde_json::Error),
    #[error(transparent)]
    Bad(Bad),
}

impl From<reqwest::Error> for EdgeError {
    fn from(error: reqwest::Error) -> Self {
        // The address holds the token, which is nobody else's to read.
        Self::Unreachable(chain(&error.without_url()))
    }
}

/// An edge, for one stream and session.
pub(super) struct Edge<'a> {
    http: &'a Client,
    work: &'a StreamWork,
    base: &'a str,
    live: Url,
}

impl<'a> Edge<'a> {
    /// Those that the coordinator names, in its order.
    pub(super) fn all(http: &'a Client, work: &'a StreamWork) -> Result<Vec<Self>, EdgeError> {
        let edges = work.edges.iter().take(MAX_EDGES).map(|base| {
            let wrong = || EdgeError::Address(base.clone());
            let slug = work.stream.as_ref().map_or("", |stream| &stream.slug);
            let mut live = Url::parse(base).map_err(|_| wrong())?;
            if !["http", "https"].contains(&live.scheme()) {
                return Err(wrong());
            }
            let mut path = live.path_segments_mut().map_err(|()| wrong())?;
            path.clear().extend(["live", slug]);
            drop(path);
            live.set_query(None);
            Ok(Self {
                http,
                work,
                base,
                live,
            })
        });
        edges.collect()
    }

    pub(super) const fn base(&self) -> &str {
        self.base
    }

    fn url(&self, below: &[&str]) -> Url {
        let mut url = self.live.clone();
        // An address with a host has segments; `all` made sure.
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(below);
        }
        url
    }

    fn in_session(&self, below: &[&str]) -> Url {
        let mut path = vec!["s", self.work.session_id.as_str()];
        path.extend_from_slice(below);
        self.url(&path)
    }

    /// Opens the session with the token.
    pub(super) async fn open(&self) -> Result<(), EdgeError> {
        let mut url = self.url(&["friends.m3u8"]);
        url.query_pairs_mut().append_pair("token", &self.work.token);
        let response = self.get(url, ANSWER).await?;
        read(response, MAX_LIST).await.map(drop)
    }

    /// The digests of what is newer than a segment.
    pub(super) async fn digests(&self, after: Option<Msn>) -> Result<Vec<ListedDigest>, EdgeError> {
        let mut url = self.in_session(&["digests"]);
        if let Some(after) = after {
            url.query_pairs_mut()
                .append_pair("after", &after.to_string());
        }
        let response = self.get(url, ANSWER).await?;
        Ok(DigestList::parse(&read(response, MAX_LIST).await?)?.digests)
    }

    /// A segment's bytes, whatever they are: never more than were signed.
    pub(super) async fn segment(&self, expected: &Expected) -> Result<Bytes, EdgeError> {
        let object = format!("{}.m4s", expected.msn);
        let url = self.in_session(&[&expected.epoch.to_string(), &object]);
        let response = self.get(url, SEGMENT).await?;
        read(response, expected.length.as_usize()).await
    }

    async fn get(&self, url: Url, within: Duration) -> Result<Response, EdgeError> {
        let response = self.http.get(url).timeout(within).send().await?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(EdgeError::Refused),
            StatusCode::NOT_FOUND => Err(EdgeError::Absent),
            status => Err(EdgeError::Status(status)),
        }
    }
}

async fn read(mut response: Response, most: usize) -> Result<Bytes, EdgeError> {
    // As much as is said to come: what grows by doubling keeps half of it unused, in memory for as long as it is served.
    let said = response.content_length().unwrap_or(0);
    let room = usize::try_from(said).unwrap_or(usize::MAX).min(most);
    let mut body = BytesMut::with_capacity(room);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(EdgeError::TooLong(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
