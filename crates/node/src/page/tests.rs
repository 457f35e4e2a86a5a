//! Who may use the local page.

use axum::http::{Method, StatusCode};
use reqwest::Response;

use crate::tests::bed::Bed;

async fn ask(method: Method, url: &str, headers: &[(&str, &str)], body: &'static str) -> Response {
    let mut request = reqwest::Client::new().request(method, url).body(body);
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_our_page_changes_anything() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    let page = format!("http://{}", app.page());
    let html = reqwest::get(&page).await.unwrap();
    let policy = html.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let html = html.text().await.unwrap();
    let token = html
        .split("data-token=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(token.len(), 32);

    let (help, off) = (format!("{page}/api/help"), r#"{"on":false}"#);
    let put = |headers: Vec<(&'static str, String)>| {
        let help = help.clone();
        async move {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            ask(Method::PUT, &help, &headers, off).await.status()
        }
    };
    let good = ("x-streamr-token", token.to_owned());
    assert_eq!(put(vec![]).await, StatusCode::FORBIDDEN);
    assert_eq!(
        put(vec![("x-streamr-token", "0".repeat(32))]).await,
        StatusCode::FORBIDDEN
    );
    let foreign = ("origin", "http://evil.example".to_owned());
    assert_eq!(
        put(vec![good.clone(), foreign]).await,
        StatusCode::FORBIDDEN
    );
    let rebound = ("host", "evil.example:80".to_owned());
    assert_eq!(
        put(vec![good.clone(), rebound]).await,
        StatusCode::MISDIRECTED_REQUEST
    );
    assert!(app.node().memory.lock().help);
    assert_eq!(
        put(vec![good.clone(), ("origin", page.clone())]).await,
        StatusCode::OK
    );
    assert!(!app.node().memory.lock().help);

    let limits = format!("{page}/api/limits");
    let token = [("x-streamr-token", token)];
    let changed = ask(Method::PATCH, &limits, &token, r#"{"max_mbit":12.5}"#).await;
    assert_eq!(changed.status(), StatusCode::OK);
    let text = bed.data().read("node.toml").unwrap().unwrap();
    assert_eq!(text, "max_mbit = 12.5\n");
    let wrong = ask(Method::PATCH, &limits, &token, r#"{"hours":"late"}"#).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().await.unwrap().starts_with("hours"));
    app.stop().await;
}
