//! What only who keeps the swarm can answer.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{Error, rest::Problem};

/// What a request is to the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A friend's node, by gRPC.
    Node,
    /// A page's tracker, by WebSocket.
    Tracker,
    /// The API.
    Api,
}

/// What a path is to the swarm; most are nothing to it.
pub(super) fn kind(path: &str) -> Option<Kind> {
    if path.starts_with("/streamr.node.v1.Node/") {
        return Some(Kind::Node);
    }
    if path.starts_with("/t/") {
        return Some(Kind::Tracker);
    }
    let mut parts = path.strip_prefix("/api/v1/")?.split('/');
    let (of, _, what) = (parts.next()?, parts.next()?, parts.next());
    let is_swarms = match of {
        "streams" => matches!(what, Some("friends" | "delivery")),
        "sessions" => matches!(what, Some("events" | "reports")),
        "supporters" => true,
        _ => false,
    };
    is_swarms.then_some(Kind::Api)
}

impl Kind {
    /// For metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Tracker => "tracker",
            Self::Api => "api",
        }
    }

    /// The answer while nobody can be asked.
    pub(super) fn refusal(self) -> Response {
        match self {
            Self::Node => tonic::Status::from(Error::NoKeeper).into_http(),
            Self::Api => Problem::from(Error::NoKeeper).into_response(),
            Self::Tracker => {
                let after = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
                (StatusCode::SERVICE_UNAVAILABLE, after, "try again\n").into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_swarm_knows_is_asked_of_its_keeper() {
        assert_eq!(kind("/streamr.node.v1.Node/Connect"), Some(Kind::Node));
        assert_eq!(kind("/t/a.token"), Some(Kind::Tracker));
        for path in [
            "/api/v1/streams/live/friends",
            "/api/v1/streams/live/friends/a-node/message",
            "/api/v1/streams/live/delivery",
            "/api/v1/sessions/one/events",
            "/api/v1/sessions/one/reports",
            "/api/v1/supporters/a-node",
        ] {
            assert_eq!(kind(path), Some(Kind::Api), "{path}");
        }
    }

    #[test]
    fn the_rest_is_answered_by_whoever_is_asked() {
        for path in [
            "/",
            "/watch/live",
            "/api/v1/streams",
            "/api/v1/streams/live",
            "/api/v1/streams/live/sessions",
            "/api/v1/streams/live/invites",
            "/api/v1/sessions/one/receipts",
            "/api/v1/me",
        ] {
            assert_eq!(kind(path), None, "{path}");
        }
    }

    #[test]
    fn every_such_path_of_the_api_is_there() {
        let document = crate::rest::document();
        let paths = document["paths"].as_object().unwrap();
        let handed = paths.keys().filter(|path| kind(path).is_some());
        let mut handed: Vec<_> = handed.map(String::as_str).collect();
        handed.sort_unstable();
        assert_eq!(
            handed,
            [
                "/api/v1/sessions/{session}/events",
                "/api/v1/sessions/{session}/reports",
                "/api/v1/streams/{stream}/delivery",
                "/api/v1/streams/{stream}/friends",
                "/api/v1/streams/{stream}/friends/{node}",
                "/api/v1/streams/{stream}/friends/{node}/message",
                "/api/v1/supporters/{node}",
            ]
        );
    }
}
