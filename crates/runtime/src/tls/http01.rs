//! Plain HTTP where HTTPS is on: answers HTTP-01 (RFC 8555 §8.3), and sends everybody else to HTTPS.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, Uri, header, uri::Authority},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;

/// Key authorizations by token.
pub(super) type Answers = Arc<Mutex<HashMap<String, String>>>;

#[derive(Clone)]
struct Shared {
    answers: Answers,
    /// Where HTTPS is for the world, if that was said.
    public: Option<Arc<str>>,
    port: u16,
}

/// The routes of the plain listener. HTTPS is at `public_url`, or at the host asked for and `port`.
pub(super) fn routes(answers: Answers, public_url: Option<&str>, port: u16) -> Router {
    let public = public_url
        .filter(|url| url.starts_with("https://"))
        .map(|url| url.trim_end_matches('/').into());
    Router::new()
        .route("/.well-known/acme-challenge/{token}", get(answer))
        .fallback(redirect)
        .with_state(Shared {
            answers,
            public,
            port,
        })
}

async fn answer(State(shared): State<Shared>, Path(token): Path<String>) -> Response {
    let known = shared.answers.lock().get(&token).cloned();
    match known {
        Some(authorization) => {
            metrics::counter!("streamr_acme_challenges_answered_total", "challenge" => "http-01")
                .increment(1);
            let binary = HeaderValue::from_static("application/octet-stream");
            ([(header::CONTENT_TYPE, binary)], authorization).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such challenge").into_response(),
    }
}

async fn redirect(
    State(shared): State<Shared>,
    uri: Uri,
    headers: axum::http::HeaderMap,
) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let target = match (&shared.public, host) {
        (Some(public), _) => format!("{public}{path}"),
        (None, Some(host)) if shared.port == 443 => format!("https://{}{path}", host.host()),
        (None, Some(host)) => format!("https://{}:{}{path}", host.host(), shared.port),
        (None, None) => {
            return (StatusCode::BAD_REQUEST, "name a host; this is HTTP/1.1").into_response();
        }
    };
    match HeaderValue::try_from(target) {
        Ok(target) => (
            StatusCode::PERMANENT_REDIRECT,
            [(header::LOCATION, target)],
            "use HTTPS",
        )
            .into_response(),
        Err(_) => (StatusCode::BAD_REQUEST, "no such address").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    async fn ask(routes: &Router, host: &str, path: &str) -> (u16, String) {
        let mut request = Request::get(path);
        if !host.is_empty() {
            request = request.header(header::HOST, host);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = routes.clone().oneshot(request).await.unwrap();
        let location = response.headers().get(header::LOCATION);
        let location = location.map_or("", |to| to.to_str().unwrap()).to_owned();
        (response.status().as_u16(), location)
    }

    #[tokio::test]
    async fn everything_but_a_challenge_goes_to_https() {
        let answers = Answers::default();
        answers
            .lock()
            .insert("token".to_owned(), "token.thumb".to_owned());
        let plain = routes(Arc::clone(&answers), None, 8000);
        let to = |status: u16, target: &str| (status, target.to_owned());
        let challenge = "/.well-known/acme-challenge";
        assert_eq!(
            ask(&plain, "a.example", &format!("{challenge}/token")).await,
            to(200, "")
        );
        assert_eq!(
            ask(&plain, "a.example", &format!("{challenge}/other")).await,
            to(404, "")
        );
        assert_eq!(
            ask(&plain, "a.example:80", "/watch/live?x=1").await,
            to(308, "https://a.example:8000/watch/live?x=1")
        );
        assert_eq!(ask(&plain, "", "/").await, to(400, ""));
        assert_eq!(
            ask(&routes(Answers::default(), None, 443), "a.example", "/").await,
            to(308, "https://a.example/")
        );
        let public = routes(answers, Some("https://live.example/"), 8000);
        assert_eq!(
            ask(&public, "192.0.2.1", "/live").await,
            to(308, "https://live.example/live")
        );
    }
}
