//! Malformed, forged and hostile requests: refused as problem+json, counted, slowed down.

use std::time::Duration;

use anyhow::{Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Account, OWNER, Sandbox, cookie, http, send};
use tokio::time::Instant;

use crate::support::{scenario, shared};

fn problem(answer: &http::Answer, status: u16) -> Result<Value> {
    ensure!(
        answer.status == status,
        "{} instead of {status}: {}",
        answer.status,
        answer.text()
    );
    ensure!(
        answer.header("content-type") == "application/problem+json",
        "{answer:?}"
    );
    let problem: Value = serde_json::from_slice(&answer.body)?;
    ensure!(
        problem["status"] == status && problem["detail"].is_string() && problem["code"].is_string(),
        "{problem}"
    );
    ensure!(!answer.header("x-request-id").is_empty());
    Ok(problem)
}

/// A part of a token with one member changed.
fn with(part: &str, name: &str, value: Value) -> Result<String> {
    let mut json: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?;
    json[name] = value;
    Ok(URL_SAFE_NO_PAD.encode(json.to_string()))
}

/// What somebody makes of a good token.
fn forgeries(token: &str) -> Result<Vec<String>> {
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    let (header, claims) = signed.split_once('.').unwrap_or_default();
    let mut forged = vec![
        format!("{}.{claims}.", with(header, "alg", json!("none"))?),
        format!("{header}.{claims}.{}", "A".repeat(86)),
        "null".to_owned(),
        "x".repeat(8000),
    ];
    for (name, value) in [
        ("alg", "HS256"),
        ("alg", "none"),
        ("kid", "another"),
        ("kid", "../../../etc/passwd"),
        ("jku", "https://evil.example"),
        ("typ", "playback+jwt"),
    ] {
        forged.push(format!(
            "{}.{claims}.{signature}",
            with(header, name, json!(value))?
        ));
    }
    for (name, value) in [
        ("role", json!("admin")),
        ("exp", json!(4_000_000_000_u64)),
        ("iss", json!("streamr-playback")),
        ("aud", json!("streamr-edge")),
        ("sub", json!("admin")),
    ] {
        forged.push(format!(
            "{header}.{}.{signature}",
            with(claims, name, value)?
        ));
    }
    Ok(forged)
}

#[tokio::test]
async fn forged_and_confused_tokens_are_refused() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let client = http::client()?;
        let url = format!("{}/api/v1/me", sandbox.pages());
        owner.stream("tokens", "private").await?;
        let playback = owner.post("/streams/tokens/sessions", &json!({})).await?;
        let mut forged = forgeries(&owner.token)?;
        forged.push(playback["token"].as_str().unwrap_or_default().to_owned());
        for token in forged {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            let answer = send(&client, Method::GET, &url, &headers, None).await?;
            problem(&answer, 401)?;
            ensure!(answer.header("www-authenticate").starts_with("Bearer"));
        }
        for header in ["Basic b3duZXI6cGFzc3dvcmQ=", "Bearer", ""] {
            let headers = [("authorization", header)];
            problem(
                &send(&client, Method::GET, &url, &headers, None).await?,
                401,
            )?;
        }
        // A bad token is an error even where none is needed.
        let open = format!("{}/api/v1/streams", sandbox.pages());
        let headers = [("authorization", "Bearer x.y.z")];
        problem(
            &send(&client, Method::GET, &open, &headers, None).await?,
            401,
        )?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn malformed_and_oversized_requests_are_told_what_is_wrong() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let create = async |body: Value| owner.ask(Method::POST, "/streams", Some(&body)).await;
        for (body, field) in [
            (json!({}), "title"),
            (json!({ "title": 7 }), "title"),
            (json!({ "title": "" }), "title"),
            (json!({ "title": "x".repeat(121) }), "title"),
            (json!({ "title": "nul\u{0}" }), "title"),
            (json!({ "title": "t", "slug": "Not A Slug" }), "slug"),
            (
                json!({ "title": "t", "visibility": "secret" }),
                "visibility",
            ),
            (
                json!({ "title": "t", "description": "x".repeat(2001) }),
                "description",
            ),
            (json!({ "title": "t", "titel": "t" }), "titel"),
            (json!([]), "body"),
        ] {
            let answer = create(body.clone()).await?;
            let said = problem(&answer, 400)?;
            ensure!(said.to_string().contains(field), "{body}: {said}");
        }
        let client = http::client()?;
        let bearer = format!("Bearer {}", owner.token);
        let url = format!("{}/api/v1/streams", sandbox.pages());
        let raw = async |body: Vec<u8>, kind: &str| -> Result<http::Answer> {
            let request = client
                .post(&url)
                .header("authorization", &bearer)
                .header("content-type", kind)
                .body(body);
            let response = request.send().await?;
            Ok(http::Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await?,
            })
        };
        problem(&raw(b"{".to_vec(), "application/json").await?, 400)?;
        problem(&raw(vec![0xff; 100], "application/json").await?, 400)?;
        problem(
            &raw(b"title=t".to_vec(), "application/x-www-form-urlencoded").await?,
            415,
        )?;
        problem(
            &raw(b"{\"title\":\"t\"}".to_vec(), "text/plain").await?,
            415,
        )?;
        problem(&raw(vec![b' '; 70_000], "application/json").await?, 413)?;
        let deep = [vec![b'['; 30_000], vec![b']'; 30_000]].concat();
        problem(&raw(deep, "application/json").await?, 400)?;
        for (method, path, status) in [
            (Method::GET, "/streams?limit=0", 400),
            (Method::GET, "/streams?after=x", 400),
            (Method::GET, "/streams?state=flying", 400),
            (Method::GET, "/streams?owner=you", 400),
            (Method::GET, "/nothing/here", 404),
            (Method::PUT, "/streams", 405),
            (Method::GET, "/streams/..%2f..%2fetc", 404),
            (Method::GET, "/streams/%00", 404),
            (Method::DELETE, "/me/logins/x", 404),
        ] {
            let answer = owner.ask(method, path, None).await?;
            problem(&answer, status)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_site_s_page_can_do_nothing() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let client = http::client()?;
        let cookie = format!("streamr_refresh={}", owner.refresh);
        for path in ["refresh", "logout"] {
            let url = format!("{}/api/v1/auth/{path}", sandbox.pages());
            for header in [
                ("origin", "https://evil.example"),
                ("origin", "null"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ] {
                let headers = [("cookie", cookie.as_str()), header];
                problem(
                    &send(&client, Method::POST, &url, &headers, None).await?,
                    403,
                )?;
            }
        }
        // Logging in takes JSON, which a form can't send.
        let url = format!("{}/api/v1/auth/login", sandbox.pages());
        let form = client
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("email=owner%40example.org&password=x");
        ensure!(form.send().await?.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE);
        // No origin is let in by CORS where somebody is logged in.
        let url = format!("{}/api/v1/me", sandbox.pages());
        let preflight = [
            ("origin", "https://evil.example"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ];
        let answer = send(&client, Method::OPTIONS, &url, &preflight, None).await?;
        ensure!(
            answer.header("access-control-allow-origin").is_empty(),
            "{answer:?}"
        );
        owner.get("/me").await?;
        Ok(())
    })
    .await
}

async fn try_password(
    client: &Client,
    sandbox: &Sandbox,
    password: &str,
    device: Option<&str>,
) -> Result<http::Answer> {
    let url = format!("{}/api/v1/auth/login", sandbox.pages());
    let body = json!({ "email": OWNER.0, "password": password });
    let cookie = device.map(|device| format!("streamr_device={device}"));
    let headers: Vec<(&str, &str)> = cookie
        .iter()
        .map(|cookie| ("cookie", cookie.as_str()))
        .collect();
    send(client, Method::POST, &url, &headers, Some(&body)).await
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_and_locks_no_owner_out() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let client = http::client()?;
        let first = try_password(&client, &sandbox, OWNER.1, None).await?;
        let device = cookie(&first, "streamr_device").unwrap_or_default();
        let unknown = json!({ "email": "nobody@example.org", "password": "guess 1 guess" });
        let url = format!("{}/api/v1/auth/login", sandbox.pages());
        let stranger = send(&client, Method::POST, &url, &[], Some(&unknown)).await?;
        let known = try_password(&client, &sandbox, "guess 1 guess", None).await?;
        ensure!(
            problem(&stranger, 401)? == problem(&known, 401)?,
            "who has an account can be told apart"
        );
        for guess in 0..12 {
            try_password(&client, &sandbox, &format!("guess {guess} guess"), None).await?;
        }
        let limited = try_password(&client, &sandbox, OWNER.1, None).await?;
        problem(&limited, 429)?;
        ensure!(
            limited
                .header("retry-after")
                .parse::<u32>()
                .is_ok_and(|seconds| (1..=60).contains(&seconds))
        );
        // The owner's browser, on the same address, gets in.
        let owner = try_password(&client, &sandbox, OWNER.1, Some(&device)).await?;
        ensure!(owner.status == StatusCode::OK, "{}", owner.text());
        let metrics = sandbox.metrics().await?;
        ensure!(
            metrics.contains("streamr_login_failed_total")
                && metrics.contains("streamr_login_refused_total")
        );
        let audit = Account::from_answer(&sandbox.pages(), &owner)?
            .get("/admin/audit?action=login.failed")
            .await?;
        ensure!(
            audit["items"]
                .as_array()
                .is_some_and(|items| items.len() >= 10),
            "{audit}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_unknown_account_takes_as_long_as_a_known_one() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        let client = http::client()?;
        let url = format!("{}/api/v1/auth/login", sandbox.pages());
        let mut times = [Duration::MAX; 2];
        for _ in 0..4 {
            for (best, email) in times.iter_mut().zip([OWNER.0, "nobody@example.org"]) {
                let body = json!({ "email": email, "password": "not the password" });
                let began = Instant::now();
                let answer = send(&client, Method::POST, &url, &[], Some(&body)).await?;
                ensure!(
                    answer.status == StatusCode::UNAUTHORIZED,
                    "{}",
                    answer.text()
                );
                *best = (*best).min(began.elapsed());
            }
        }
        // A hash is computed for both: without one, the stranger would be answered in no time.
        ensure!(times[1] * 4 > times[0], "{times:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn requests_are_limited_per_caller_and_say_so() -> Result<()> {
    let sandbox = Sandbox::embedded()
        .set("COORDINATOR__REQUESTS_PER_MINUTE", "20")
        .set("COORDINATOR__USER_REQUESTS_PER_MINUTE", "30")
        .start()
        .await?;
    scenario(&sandbox, async {
        let owner = sandbox.owner().await?;
        let client = http::client()?;
        let url = format!("{}/api/v1/streams", sandbox.pages());
        let mut last = None;
        for _ in 0..25 {
            last = Some(http::get(&client, &url).await?);
        }
        let limited = last.unwrap_or_else(|| unreachable!());
        problem(&limited, 429)?;
        ensure!(
            limited
                .header("ratelimit")
                .starts_with("\"address\";r=0;t="),
            "{limited:?}"
        );
        ensure!(limited.header("ratelimit-policy") == "\"address\";q=20;w=60");
        ensure!(!limited.header("retry-after").is_empty());
        // Another caller from the same address has a count of its own.
        let answer = owner.ask(Method::GET, "/me", None).await?;
        ensure!(
            answer.status == StatusCode::OK
                && answer.header("ratelimit").starts_with("\"user\";r=29"),
            "{answer:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_creation_sent_again_makes_nothing_twice() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let (client, bearer) = (http::client()?, format!("Bearer {}", owner.token));
        let url = format!("{}/api/v1/streams", sandbox.pages());
        let send_with = async |key: &str, title: &str| {
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
            send(
                &client,
                Method::POST,
                &url,
                &headers,
                Some(&json!({ "title": title })),
            )
            .await
        };
        let first = send_with("a-key-of-mine", "Once").await?;
        ensure!(first.status == StatusCode::CREATED, "{}", first.text());
        let again = send_with("a-key-of-mine", "Once").await?;
        ensure!(again.body == first.body && again.header("idempotency-replayed") == "true");
        ensure!(again.header("location") == first.header("location"));
        problem(&send_with("a-key-of-mine", "Twice").await?, 422)?;
        problem(&send_with("short", "Once").await?, 400)?;
        let (a, b) = tokio::join!(
            send_with("a-race-of-two", "Race"),
            send_with("a-race-of-two", "Race")
        );
        let statuses = [a?.status, b?.status];
        ensure!(statuses.contains(&StatusCode::CREATED), "{statuses:?}");
        ensure!(
            statuses
                .iter()
                .all(|s| [StatusCode::CREATED, StatusCode::CONFLICT].contains(s)),
            "{statuses:?}"
        );
        let mine = owner.get("/streams?owner=me&limit=100").await?.to_string();
        ensure!(
            mine.matches("\"title\":\"Race\"").count() == 1
                && mine.matches("\"title\":\"Once\"").count() == 1
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_of_what_changed_meanwhile_is_refused() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        owner.stream("etags", "public").await?;
        let (client, bearer) = (http::client()?, format!("Bearer {}", owner.token));
        let url = format!("{}/api/v1/streams/etags", sandbox.pages());
        let read = owner.ask(Method::GET, "/streams/etags", None).await?;
        let tag = read.header("etag").to_owned();
        let change = async |title: &str| {
            let headers = [
                ("authorization", bearer.as_str()),
                ("if-match", tag.as_str()),
            ];
            send(
                &client,
                Method::PATCH,
                &url,
                &headers,
                Some(&json!({ "title": title })),
            )
            .await
        };
        ensure!(change("First").await?.status == StatusCode::OK);
        problem(&change("Second").await?, 412)?;
        let now = owner.ask(Method::GET, "/streams/etags", None).await?;
        let known = [
            ("authorization", bearer.as_str()),
            ("if-none-match", now.header("etag")),
        ];
        let unchanged = send(&client, Method::GET, &url, &known, None).await?;
        ensure!(unchanged.status == StatusCode::NOT_MODIFIED && unchanged.body.is_empty());
        ensure!(now.text().contains("First"));
        Ok(())
    })
    .await
}
